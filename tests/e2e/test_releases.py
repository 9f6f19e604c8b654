"""Releases come and go: an upgrade, a second one in the namespace, an uninstallation, an installation."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from scripts import release
from scripts.kube import CommandFailed, until
from tests.e2e.conftest import begin
from tests.e2e.kit import installing
from tests.e2e.kit.http import forwarded, get
from tests.e2e.kit.site import Site


@pytest.fixture(scope="module")
def first(cleanup: ExitStack, request: pytest.FixtureRequest) -> Site:
    """A namespace for these tests, with nothing in it yet, and the first release's name."""
    made = begin(cleanup, request, "releases")
    for name in ("qt", "second"):
        cleanup.callback(release.uninstall, made.kube, name)
    return made


def test_image_is_missing(first: Site) -> None:
    """Workers whose image cannot be pulled fail after the start deadline; an upgrade mends it."""
    installing.install(first, settings={"startDeadlineSeconds": 10}, worker__image__tag="not-there")
    broken = first.run("without-an-image", "SELECT 42")["status"]
    installing.install(first)
    mended = first.run("with-an-image", "SELECT 42")["status"]

    assert (broken["phase"], broken["reason"]) == ("Failed", "ImagePullFailed")
    assert "not-there" in broken["message"]
    assert mended["phase"] == "Succeeded"


def test_reinstallation(first: Site) -> None:
    """The claims outlive the release, and the next one finds the history and the files in them."""
    installing.install(first)
    task = first.run("before-the-uninstallation", "SELECT 42 AS answer", export={"format": "CSV"})
    release.uninstall(first.kube, first.release)
    claims = {claim["metadata"]["name"] for claim in first.kube.items("persistentvolumeclaims")}

    installing.install(first)

    assert {f"{first.fullname}-history", f"{first.fullname}-exports"} <= claims
    uid = task["metadata"]["uid"]
    assert first.history("SELECT name, phase FROM tasks WHERE uid = ?", uid) == [
        {"name": "before-the-uninstallation", "phase": "Succeeded"}
    ]
    assert first.read(task["status"]["export"]["path"]) == b"answer\n42\n"
    assert first.run("after-the-installation", "SELECT 42")["status"]["phase"] == "Succeeded"


def test_second_release(first: Site) -> None:
    """A second release in the namespace is not ready and says why; when the first one goes, it takes over."""
    installing.install(first)
    second = Site(first.kube, "second")
    installing.install(second, wait=False)
    until("the second operator to answer", lambda: _answers(second))

    with forwarded(second.kube, f"pod/{second.operator}") as address:
        code, body = until("the reason", lambda: _refusal(address))
    assert code == 503
    assert first.operator in json.loads(body)["checks"]["lease"]
    assert not _ready(second)
    assert first.run("by-the-first", "SELECT 42")["status"]["phase"] == "Succeeded"

    release.uninstall(first.kube, first.release)
    second.ready()
    assert second.run("by-the-second", "SELECT 42")["status"]["phase"] == "Succeeded"
    release.uninstall(second.kube, second.release)


def _refusal(address: str) -> tuple[int, str] | None:
    """The answer of `/readyz`, once the lease was asked for."""
    code, body = get(f"{address}/readyz")
    return (code, body) if "held by" in body else None


def _answers(site: Site) -> bool:
    try:
        return '"ok": true' in site.kube(
            "get", "--raw", f"/api/v1/namespaces/{site.namespace}/pods/{site.operator}:8080/proxy/healthz"
        )
    except CommandFailed:
        return False


def _ready(site: Site) -> bool:
    conditions = site.kube.get("pod", site.operator)["status"]["conditions"]
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
