"""The history moves to a PostgreSQL server beside the cluster: the how-to, typed as it stands, with TLS
between the pods and Debian's server."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.harness.pki import Identity, Pki
from scripts.kube import CommandFailed, until
from tests.e2e.conftest import begin
from tests.e2e.kit import installing
from tests.e2e.kit.site import Site
from tests.e2e.test_tutorial import masked, typed
from tests.kit.postgres import UNPRIVILEGED, USER, Server, programs
from tests.unit.markdown import ROOT, Page, dialogue

HOW_TO = ROOT / "docs" / "how-to"
PAGE = "db.example.com:5432"
"""The server's address on the page."""
Part = tuple[str, list[str]]

pytestmark = pytest.mark.skipif(
    os.environ.get("CLUSTER", "embedded") != "embedded", reason="pods of another cluster need not reach us"
)


@dataclass(frozen=True)
class Moving:
    """An installation, and a server that its pods reach at ``address``."""

    site: Site
    server: Server
    address: str
    authority: Path
    """Who has signed the server's certificate."""


@pytest.fixture(scope="module")
def moving(
    cleanup: ExitStack, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moving]:
    """A history in a file, and an empty server."""
    site = begin(cleanup, request, "postgresql")
    cleanup.enter_context(installing.installed(site))
    machine = beside_the_node(site)
    # Relative to the data directory.
    keys = ("-c", "ssl_key_file=../server.key", "-c", "ssl_cert_file=../server.crt")
    made = Server("-c", f"listen_addresses={machine}", "-c", "ssl=on", *keys)
    authority = identify(made.data.parent, machine, tmp_path_factory.mktemp("tls"))
    with made as server:
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"hostssl all all {machine}/30 scram-sha-256\n")
        with closing(server.administrator()) as session:
            session.execute("SELECT pg_reload_conf()")
            session.execute(f"DROP ROLE {USER}".encode())
        yield Moving(site, server, f"{machine}:{server.port}", authority)


def beside_the_node(site: Site) -> str:
    """The machine's end of the wire to the node."""
    (node,) = site.kube.items("nodes")
    (inner,) = [item["address"] for item in node["status"]["addresses"] if item["type"] == "InternalIP"]
    return str(ipaddress.ip_network(f"{inner}/30", strict=False)[1])


def identify(folder: Path, machine: str, made: Path) -> Path:
    """Give a server the certificate of its address, and a key that nobody else may read; the authority's
    own certificate."""
    pki = Pki(made)
    pki.make([Identity("server", "postgresql", hosts=(machine,))])
    for file in (pki.key("server"), pki.certificate("server")):
        own = Path(shutil.copy(file, folder))
        own.chmod(0o600)
        shutil.chown(own, UNPRIVILEGED, UNPRIVILEGED)
    return pki.authority


def commands(page: str, last: str = "") -> list[Part]:
    """What a page lets people type, up to the command that begins with ``last``."""
    found: list[Part] = []
    for block in re.findall(r"^```console\n(.*?)^```$", Page(HOW_TO / page).text, re.MULTILINE | re.DOTALL):
        for part in dialogue(block):
            found.append(part)
            if last and part[0].startswith(last):
                return found
    return found


def told(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run, numbers among it."""
    return [re.sub(r"\d+(\.\d+)?", "N", line) for line in masked(lines)]


def test_the_how_to(moving: Moving, tmp_path: Path) -> None:
    """Each command works as it stands and prints what the page shows; the API says the same after as before;
    what was backed up is restored; the operator goes on."""
    site, server = moving.site, moving.server
    shutil.copy(site.kube.kubeconfig, tmp_path / "kubeconfig")
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    done = site.run("before", "SELECT 42")["metadata"]["uid"]
    site.run("mistaken", "SELEC 42")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    administrator = f"PGHOST={server.data.parent} PGPORT={server.port} PGUSER={UNPRIVILEGED}"
    here: list[Part] = [
        ("kubectl config set-context --current --namespace=querytask-demo", []),
        (f"export PATH={programs()}:$PATH {administrator}", []),
    ]
    asking = commands("call-the-api.md", last="ask() {")
    page = [part for part in commands("move-to-postgresql.md") if part not in the_way_back()]
    local = [(to_here(moving, command, port), shown) for command, shown in (*here, *asking, *page)]
    local.append(("kill $!", []))
    spoken = list(typed(site, tmp_path, local))
    for one in spoken:
        assert one.code == 0, f"{one.command}\n" + "\n".join(one.printed)
        if one.shown and one.command in [to_here(moving, command, port) for command, _ in page]:
            printed = "\n".join(one.printed).replace(moving.address, PAGE).splitlines()
            assert told(printed) == told(one.shown), one.command
    assert (tmp_path / "before.json").read_text().count('"uid"') >= 2
    assert site.run("after", "SELECT 43")["status"]["phase"] == "Succeeded"
    assert rows(server) == {"before": "Succeeded", "mistaken": "Failed", "after": "Succeeded"}
    assert uid_of(server, "before") == done


def test_the_server_is_known_by_its_authority(moving: Moving) -> None:
    """With `verify-full` both containers trust the authority that a Secret holds, and nobody else: without it
    they wait, and say why. A pod that was never ready is not replaced by Kubernetes: one deletes it."""
    site = moving.site
    password = secrets.token_hex(16)
    with closing(moving.server.administrator()) as session:
        session.execute(f"ALTER ROLE querytask PASSWORD '{password}'".encode())
    url = f"postgresql://querytask:{password}@{moving.address}/querytask?sslmode=verify-full"
    for name, file, content in (
        ("verified-database", "address", url),
        ("history-authority", "root.crt", moving.authority.read_text()),
    ):
        site.kube.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {file: content}}
        )
    database = {"existingSecret": "verified-database", "key": "address"}
    installing.install(site, wait=False, history__database=database)
    until("the operator to say why it waits", lambda: waits(site, "root certificate file"), 90)
    trusted = database | {"caSecret": "history-authority", "caKey": "root.crt"}
    installing.install(site, wait=False, history__database=trusted)
    site.kube("delete", "pod", site.operator)
    site.ready()
    assert site.run("verified", "SELECT 44")["status"]["phase"] == "Succeeded"
    assert rows(moving.server)["verified"] == "Succeeded"
    assert password not in site.kube("logs", site.operator, "--all-containers")


def the_way_back() -> list[Part]:
    """The last command of the page."""
    found = commands("move-to-postgresql.md")[-1:]
    assert "existingSecret= " in found[0][0]
    return found


def test_the_way_back(moving: Moving, tmp_path: Path) -> None:
    """The file is as it was when the operator was stopped, and is told of tasks whose objects are there."""
    site = moving.site
    shutil.copy(site.kube.kubeconfig, tmp_path / "kubeconfig")
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (command,) = [to_here(moving, command, "8443") for command, _ in the_way_back()]
    (spoken,) = typed(site, tmp_path, [(command, [])])
    assert spoken.code == 0, "\n".join(spoken.printed)
    site.ready()

    def told_again() -> bool:
        found = {row["name"]: row["phase"] for row in site.history("SELECT name, phase FROM tasks")}
        return found == rows(moving.server)

    assert {row["name"] for row in site.history("SELECT name FROM tasks")} >= {"before", "mistaken"}
    until("the tasks since then to be recorded", told_again, 420)


def waits(site: Site, words: str) -> bool:
    """Whether the operator waits, and says that."""
    try:
        log = site.kube("logs", site.operator, "--container=operator")
    except CommandFailed:
        return False
    return any("Waiting: " in line and words in line for line in log.splitlines())


def to_here(moving: Moving, command: str, port: str) -> str:
    """A command of the page, for this release, this server and a port that is free."""
    command = command.replace(PAGE, moving.address).replace("8443", port)
    return command.replace("helm upgrade querytask ", f"helm upgrade {moving.site.release} ")


def rows(server: Server) -> dict[str, str]:
    """The tasks that the database knows."""
    with closing(server.administrator("querytask")) as session:
        return dict(session.execute("SELECT name, phase FROM tasks").fetchall())


def uid_of(server: Server, name: str) -> str:
    """The uid of a task in the database."""
    with closing(server.administrator("querytask")) as session:
        (found,) = session.execute("SELECT uid FROM tasks WHERE name = %s", (name,)).fetchall()
        return str(found[0])
