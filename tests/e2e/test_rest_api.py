"""The API as a client has it that nobody here wrote: curl, through the Service, with the token of a
ServiceAccount; and the how-tos about it, typed as they stand."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts import kube as kubectl
from scripts.kube import until
from tests.e2e.kit import http
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS, SMALL
from tests.e2e.test_tutorial import END, TELL, masked, path_of_tools
from tests.unit.markdown import ROOT, Page, dialogue

HOW_TO = ROOT / "docs" / "how-to"
FEW = {**SMALL, "cpu": "100m"}


@dataclass(frozen=True)
class Answer:
    """What curl was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body."""
        return dict(json.loads(self.body))


@dataclass(frozen=True)
class Curl:
    """curl with one token, which trusts the release's authority alone."""

    url: str
    folder: Path
    token: str

    def __call__(self, path: str, *options: str, body: Any = None) -> Answer:
        head, content = self.folder / "head", self.folder / "body"
        command = ["curl", "-sS", "--max-time", "90", "--cacert", str(self.folder / "ca.crt"), *options]
        command += ["-H", f"Authorization: Bearer {self.token}"] if self.token else []
        command += ["--json", json.dumps(body)] if body is not None else []
        command += ["-D", str(head), "-o", str(content), self.url + path]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        first, *lines = head.read_text().strip().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        return Answer(int(first.split()[1]), headers, content.read_bytes() if content.exists() else b"")


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the authority, and what is downloaded."""
    made = tmp_path_factory.mktemp("api")
    secret = site.kube.get("secret", f"{site.fullname}-api-tls")
    encoded = secret["data"]["ca.crt"].encode()
    (made / "ca.crt").write_bytes(subprocess.run(["base64", "-d"], input=encoded, capture_output=True).stdout)
    return made


@pytest.fixture(scope="module")
def curl(site: Site, folder: Path) -> Iterator[Curl]:
    """The API for an account with the cluster's role `edit`."""
    site.kube("create", "serviceaccount", "curl")
    account = f"--serviceaccount={site.namespace}:curl"
    site.kube("create", "rolebinding", "curl", "--clusterrole=edit", account)
    token = site.kube("create", "token", "curl", "--duration=1h").strip()
    with http.forwarded(site.kube, f"service/{site.fullname}-api", 443) as url:
        yield Curl(url.replace("http://", "https://"), folder, token)


def test_a_query_from_submission_to_its_file(site: Site, curl: Curl) -> None:
    """Submitted, waited for, listed, looked at, downloaded; its sum is the one that was promised."""
    body = {
        "name": "by-curl",
        "sql": "SELECT range AS n FROM range($rows)",
        "parameters": {"rows": 100_000},
        "export": {"format": "csv", "file_name": "numbers"},
        "resources": FEW,
    }
    answer = curl("/api/v1/tasks?wait=60s", body=body)

    assert answer.status == 201, answer.body
    task = answer.json()
    assert (task["status"], task["rows"], task["preview"]["rows"][0]) == ("succeeded", 100_000, [0])
    assert task["owner"] == f"system:serviceaccount:{site.namespace}:curl"
    assert answer.headers["location"] == f"/api/v1/tasks/{task['uid']}"

    listed = curl("/api/v1/tasks?name_prefix=by-curl&status=SUCCESS&text=range").json()
    assert [item["uid"] for item in listed["items"]] == [task["uid"]]
    found = curl(f"/api/v1/tasks/{task['uid']}").json()
    assert (found["export_status"], found["export"]["file_present"]) == ("available", True)

    file = curl(f"/api/v1/tasks/{task['uid']}/export")
    assert hashlib.sha256(file.body).hexdigest() == found["export"]["sha256"]
    assert file.body == b"n\n" + b"".join(b"%d\n" % number for number in range(100_000))
    assert file.body == site.read(found["result_file_path"])
    steps = curl(f"/api/v1/tasks/{site.namespace}:by-curl/events").json()["items"]
    assert steps[-1]["status"] == "succeeded"
    assert site.task("by-curl")["metadata"]["uid"] == task["uid"]


def test_cancelled_and_run_again(site: Site, curl: Curl) -> None:
    """202 at once, the end within seconds, 400 after it; the new task knows the old one, whose object has
    gone."""
    made = curl("/api/v1/tasks", body={"name": "endless-by-curl", "sql": ENDLESS, "resources": FEW})
    assert (made.status, "retry-after" in made.headers) == (202, True)
    site.reached("endless-by-curl", "Running")
    uid = made.json()["uid"]

    asked = curl(f"/api/v1/tasks/{uid}/cancel", body={"reason": "the test is over"})
    assert (asked.status, asked.json()["status"]) == (202, "cancelling")
    site.ended("endless-by-curl")
    until("the history to know", lambda: curl(f"/api/v1/tasks/{uid}").json()["completed_at"])
    refused = curl(f"/api/v1/tasks/{uid}/cancel", "-X", "POST")
    assert (refused.status, refused.json()["code"]) == (400, "TaskFinished")
    (row,) = site.history("SELECT cancel_reason, cancel_actor FROM tasks WHERE uid = ?", uid)
    who = f"querytask-api:system:serviceaccount:{site.namespace}:curl"
    assert row == {"cancel_reason": "the test is over", "cancel_actor": who}

    site.delete("endless-by-curl")
    again = curl(f"/api/v1/tasks/{uid}/retry", "-X", "POST").json()
    assert again["retry_of"] == uid
    assert curl(f"/api/v1/tasks/{again['uid']}/cancel", "-X", "POST").status == 202
    site.ended(again["name"])


def test_a_running_worker_s_log(site: Site, curl: Curl) -> None:
    """Read with the caller's token while the pod is there."""
    made = curl("/api/v1/tasks", body={"name": "logs-by-curl", "sql": ENDLESS, "resources": FEW}).json()
    site.reached("logs-by-curl", "Running")
    answer = curl(f"/api/v1/tasks/{made['uid']}/logs")
    assert answer.status == 200, answer.body
    assert curl(f"/api/v1/tasks/{made['uid']}/cancel", "-X", "POST").status == 202
    site.ended("logs-by-curl")


def test_without_a_token_there_is_nothing(curl: Curl) -> None:
    """But the probe."""
    nobody = Curl(curl.url, curl.folder, "")
    assert nobody("/healthz").status == 200
    assert nobody("/api/v1/tasks").status == 401
    assert Curl(curl.url, curl.folder, curl.token + "x")("/api/v1/tasks").status == 401


def test_the_api_has_no_token_and_writes_no_export(site: Site) -> None:
    """What its container can reach, tried."""
    tried = "import os; print(os.path.exists('/var/run/secrets'), os.access('/exports', os.W_OK))"
    found = site.kube("exec", site.operator, "-c", "api", "--", "python3", "-c", tried)
    assert found.split() == ["False", "False"]


# the how-tos


@dataclass(frozen=True)
class Place:
    """A folder to type in, with an account's kubeconfig and a free port."""

    site: Site
    folder: Path
    port: int

    def local(self, text: str) -> str:
        """A page's text, for this release."""
        text = text.replace("querytask-demo", self.site.namespace)
        text = text.replace("querytask-querytask-operator", self.site.fullname)
        return text.replace("8443", str(self.port))

    def shown(self, text: str) -> str:
        """What was printed, as a page shows it."""
        text = text.replace(str(self.port), "8443").replace(self.site.namespace, "querytask-demo")
        return text.replace(self.site.fullname, "querytask-querytask-operator")


@pytest.fixture(scope="module")
def place(site: Site, folder: Path) -> Place:
    """Where the how-tos are typed, one after the other."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return Place(site, folder, taken.getsockname()[1])


def typed(place: Place, *pages: Path) -> None:
    """Type the pages into one shell; demand that each command of the last one prints what it shows."""
    parts = [
        part for page in pages for block in Page(page).blocks("console") for part in dialogue(block.text)
    ]
    own = sum(1 for block in Page(pages[-1]).blocks("console") for _ in dialogue(block.text))
    script = place.local("".join(f"{command}\n{TELL}\n" for command, _ in parts)) + "kill $!\n"
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=place.folder,
        env=os.environ | {"KUBECONFIG": kubeconfig(place), "PATH": path_of_tools()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    answers = re.split(rf"^{END} (\d+)\n", place.shown(done.stdout), flags=re.MULTILINE)
    told = list(zip(parts, answers[:-1:2], answers[1::2], strict=True))
    for (command, shown), text, code in told[-own:]:
        assert code == "0", f"{command}\n{text}"
        assert masked(text.splitlines()) == masked(shown), command


def kubeconfig(place: Place) -> str:
    """An administrator's, which starts in the release's namespace."""
    file = place.folder / "kubeconfig"
    if not file.exists():
        file.write_text(Path(place.site.kube.kubeconfig).read_text())
        command = [kubectl.tool("kubectl"), "--kubeconfig", str(file), "config", "set-context", "--current"]
        subprocess.run([*command, f"--namespace={place.site.namespace}"], check=True, capture_output=True)
    return str(file)


def test_call_the_api(place: Place) -> None:
    """Each command works as it stands, and prints what the page shows."""
    typed(place, HOW_TO / "call-the-api.md")


def test_page_through_history(curl: Curl, place: Place) -> None:
    """With the way to the API that the other page has shown."""
    preamble = place.folder / "preamble.md"
    lines = [
        f"$ token={curl.token}",
        f"$ api={curl.url}/api/v1",
        '$ ask() { curl -sS --cacert ca.crt -H "Authorization: Bearer $token" "$@"; }',
    ]
    preamble.write_text("# Before\n\n```console\n" + "\n".join(lines) + "\n```\n")
    typed(place, preamble, HOW_TO / "page-through-history.md")


def test_submit_from_python(curl: Curl, folder: Path) -> None:
    """The program runs as it stands, and prints what the page shows."""
    page = Page(HOW_TO / "submit-from-python.md")
    (program,) = page.blocks("python")
    (shown,) = page.blocks("text")
    (folder / "token").write_text(curl.token)
    (folder / "program.py").write_text(program.text)
    environment = {"API": curl.url, "CA": str(folder / "ca.crt"), "TOKEN_FILE": str(folder / "token")}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert (done.stdout, done.returncode) == (shown.text, 0), done.stderr
