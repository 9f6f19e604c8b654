"""A file whose retention is over goes, and its task says so."""

from __future__ import annotations

from tests.e2e.kit.site import Site


def test_expiry(site: Site) -> None:
    """After `export.retention` the file is gone, and object and history say `Expired`; the result stays."""
    task = site.run("soon-expired", "SELECT 42 AS answer", export={"format": "CSV", "retention": "5s"})
    uid, shown = task["metadata"]["uid"], task["status"]
    assert shown["export"]["state"] == "Available"

    site.kube(
        "wait", "querytask/soon-expired", "--for=jsonpath={.status.export.state}=Expired", "--timeout=60s"
    )

    status = site.status("soon-expired")
    assert status["phase"] == "Succeeded"
    assert status["result"] == shown["result"]
    assert site.execute(site.operator, "ls", f"/exports/{site.namespace}").split().count(uid) == 0
    assert site.history("SELECT state FROM exports WHERE uid = ?", uid) == [{"state": "Expired"}]
