"""The API as a process of its own, started as the image starts it: ``python -m querytask.web`` and an
environment; with TLS, and with accounts that have this right or that."""

from __future__ import annotations

import contextlib
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from cluster.harness import ControlPlane
from cluster.harness import pki as harness
from querytask import names
from querytask.settings import variable
from tests.controlplane.kit import logscan
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.operator import base_environment
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until
from tests.controlplane.kit.zygote import DIE_WITH_US

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_PORT = re.compile(r"The API is on port (\d+)")
READ = ("get", "list", "watch")
WRITE = (*READ, "create", "patch", "delete")
TASKS = "/api/v1/tasks"
KEY = "Idempotency-Key"


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


def uid_of(task: Json) -> str:
    return str(task["metadata"]["uid"])


def certificates(folder: Path) -> harness.Pki:
    """An authority, and the certificate ``api`` of a server on the loopback."""
    made = harness.Pki(folder)
    made.make([harness.Identity("api", "querytask-api", hosts=("localhost", "127.0.0.1"))])
    return made


class ApiProcess:
    """One process; ``log`` is the file of its standard error."""

    def __init__(self, environment: Mapping[str, str], log: Path, pki: harness.Pki) -> None:
        self.log, self.pki = log, pki
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*DIE_WITH_US, sys.executable, "-m", "querytask.web"],
                env=base_environment() | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def port(self) -> int | None:
        """Where it listens; ``None`` until the log says so."""
        found = _PORT.search(self.log.read_text("utf-8", "replace"))
        return int(found[1]) if found else None

    @property
    def url(self) -> str:
        """Where it is called."""
        return f"https://localhost:{self.port}"

    def client(self, token: str = "", **options: Any) -> httpx.Client:
        """A client that trusts its certificate and sends ``token``; to be closed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        context = ssl.create_default_context(cafile=str(self.pki.authority))
        return httpx.Client(
            base_url=self.url, headers=headers, verify=context, timeout=20, trust_env=False, **options
        )

    def wait_ready(self, timeout: float = START_SECONDS) -> ApiProcess:
        """Come back when it is ready."""
        until(self.ready, timeout, what="the API is ready", told=self.story)
        return self

    def ready(self) -> bool:
        """Whether it says that it is; fails when the process has ended."""
        assert self.process.poll() is None, f"the API has ended: {self.story()}"
        if self.port is None:
            return False
        with self.client() as client:
            return client.get("/healthz/ready").status_code == 200

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """SIGTERM, as the kubelet sends it; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)

    def lines(self) -> list[Json]:
        """The log so far."""
        return logscan.lines(self.log)

    def requests(self) -> list[Json]:
        """The lines of the access log."""
        return [line for line in self.lines() if line["logger"] == "querytask.web.access"]

    def story(self) -> str:
        """The end of the log."""
        return f"the API's log {self.log} ends:\n{logscan.tail(self.log)}"


def environment(
    plane: ControlPlane,
    namespace: str,
    pki: harness.Pki,
    *,
    history: Path,
    exports: Path,
    authority: Path,
    **overrides: Any,
) -> dict[str, str]:
    """What the API is started with, on this machine; ``authority`` is the file that the API server is trusted
    by."""
    values = {
        "namespace": namespace,
        "history_dir": history,
        "exports_dir": exports,
        "cluster_url": plane.url,
        "cluster_ca": authority,
        "api_host": "127.0.0.1",
        "api_port": 0,
        # All of a test come from one address, which has a quarter.
        "api_max_connections": 1024,
        "api_certificate": pki.certificate("api"),
        "api_key": pki.key("api"),
    }
    return {variable(name): str(value) for name, value in (values | overrides).items()}


class Accounts:
    """ServiceAccounts of a namespace, each with the rights that a test gives it, and their tokens."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane, self._namespace = plane, namespace

    def make(
        self, name: str, verbs: Sequence[str] = READ, *, names_: Sequence[str] = (), pods: bool = False
    ) -> str:
        """A new account that may do ``verbs`` to the tasks (those called ``names_``, where some are), and
        with ``pods`` read logs; its token."""
        self._call("api/v1", "serviceaccounts", {"metadata": {"name": name}})
        rules: list[Json] = []
        if verbs:
            rule: Json = {"apiGroups": [names.GROUP], "resources": [names.TASK_PLURAL], "verbs": list(verbs)}
            rules.append(rule | ({"resourceNames": list(names_)} if names_ else {}))
        if pods:
            rules.append({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]})
        rbac = "apis/rbac.authorization.k8s.io/v1"
        self._call(rbac, "roles", {"metadata": {"name": name}, "rules": rules})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self._namespace}],
        }
        self._call(rbac, "rolebindings", binding)
        return self.token(name)

    def token(self, name: str, *, seconds: int = 3600, audiences: Sequence[str] = ()) -> str:
        """Another token of an account."""
        spec: Json = {"expirationSeconds": seconds} | ({"audiences": list(audiences)} if audiences else {})
        answer = self._call("api/v1", f"serviceaccounts/{name}/token", {"spec": spec})
        return str(answer["status"]["token"])

    def delete(self, name: str) -> None:
        """Delete an account; its tokens end with it."""
        path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{name}"
        self._plane.api.call("DELETE", path)

    def _call(self, root: str, resource: str, body: Json) -> Json:
        return self._plane.api.call("POST", f"/{root}/namespaces/{self._namespace}/{resource}", body)


@contextlib.contextmanager
def serving(site: Site, folder: Path, *, ready: bool = True, **overrides: Any) -> Iterator[ApiProcess]:
    """An API beside the operators of a site, on its history and volumes; it is ready, unless nobody waits for
    that, and ends with exit code 0."""
    pki = certificates(folder / "pki")
    values = environment(
        site.plane,
        site.namespace,
        pki,
        history=site.history_dir,
        exports=site.exports,
        authority=site.plane.folder / "pki" / "ca.crt",
        **({"history_url": site.database} if site.database else {}) | overrides,
    )
    process = ApiProcess(values, folder / "api.log", pki)
    try:
        yield process.wait_ready() if ready else process
    finally:
        code = process.stop()
    assert code == 0, process.story()
    faults = [line for line in process.lines() if line["level"] == "error"]
    assert not faults, faults
