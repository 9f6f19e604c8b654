"""An object that is deleted while its worker runs: the pod goes with it, and the history tells its end."""

from __future__ import annotations

from scripts.kube import until
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS


def test_deleted_while_running(site: Site) -> None:
    """Nothing blocks the deletion; the pod is stopped, the row is closed, and no part of a file is left."""
    export = {"format": "CSV", "compression": "Uncompressed"}
    task = site.running("deleted-while-running", ENDLESS, export=export)
    uid = task["metadata"]["uid"]

    site.kube("delete", "querytask", "deleted-while-running", "--timeout=20s")

    site.pod_gone(task["status"]["podName"])
    query = "SELECT phase, object_deleted_at IS NOT NULL AS deleted FROM tasks WHERE uid = ?"
    until("the row to be closed", lambda: site.history(query, uid)[0]["deleted"])
    assert site.history(query, uid) == [{"phase": "Deleted", "deleted": 1}]
    assert {file for file in site.files(uid) if not file.startswith("1/_")} == set()


def test_deleted_after_its_end(site: Site) -> None:
    """A finished task that is deleted keeps its row, and its file until that expires."""
    task = site.run("deleted-after-its-end", "SELECT 42 AS answer", export={"format": "CSV"})
    uid = task["metadata"]["uid"]

    site.kube("delete", "querytask", "deleted-after-its-end")

    query = "SELECT phase, object_deleted_at IS NOT NULL AS deleted FROM tasks WHERE uid = ?"
    until("the deletion to be noted", lambda: site.history(query, uid)[0]["deleted"])
    assert site.history(query, uid) == [{"phase": "Succeeded", "deleted": 1}]
    assert site.read(task["status"]["export"]["path"])
