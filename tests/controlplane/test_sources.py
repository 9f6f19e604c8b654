"""Sources: a task waits for one that is not ready, without a slot, and no longer than a start may take."""

from __future__ import annotations

import pytest

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.observer import condition
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


def _ready(site: Site, name: str) -> Json:
    found = (site.get(names.SOURCE_PLURAL, name) or {}).get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == "Ready"), {})


def test_a_source_on_a_claim_is_ready(shared: Site) -> None:
    """Ready says that the claim is there; a task mounts it read-only under the source's name."""
    shared.claim("lake")
    shared.source("flights", "lake")
    until(lambda: _ready(shared, "flights").get("status") == "True", what="the source is ready")
    assert _ready(shared, "flights")["reason"] == "ClaimFound"
    task = shared.submit("hang", name="reader", sources=["flights"])
    spec = shared.pod_of(task)["spec"]
    (mount,) = [
        item for item in spec["containers"][0]["volumeMounts"] if item["mountPath"] == "/data/flights"
    ]
    (volume,) = [item for item in spec["volumes"] if item["name"] == mount["name"]]
    assert mount["readOnly"] is True
    assert volume["persistentVolumeClaim"] == {"claimName": "lake", "readOnly": True}
    shared.cancel("reader")
    shared.reaches("reader", "Cancelled")


def test_a_source_without_its_claim_is_not_ready_until_the_claim_comes(shared: Site) -> None:
    """ClaimNotFound, naming the claim; when the claim appears the source is ready, and no longer when it
    goes."""
    shared.source("early", "lake-to-come")
    until(lambda: _ready(shared, "early").get("reason") == "ClaimNotFound", what="the claim is missed")
    assert '"lake-to-come"' in _ready(shared, "early")["message"]
    shared.claim("lake-to-come")
    until(lambda: _ready(shared, "early").get("status") == "True", what="the source is ready")
    shared.patch("persistentvolumeclaims", "lake-to-come", {"metadata": {"finalizers": None}})
    shared.delete("persistentvolumeclaims", "lake-to-come")
    until(lambda: _ready(shared, "early").get("status") == "False", what="the source is not ready any more")


@pytest.mark.parametrize("own", ["exports", "history"])
def test_the_operators_own_volumes_are_no_sources(own: str, shared: Site) -> None:
    """Neither the exports claim nor the history claim may be read by a query."""
    name, claim = f"stolen-{own}", f"querytask-operator-{own}"
    shared.source(name, claim)
    until(lambda: _ready(shared, name).get("reason") == "ClaimReserved", what="the source is refused")
    task = shared.submit("succeed", name=f"reads-{name}", sources=[name])
    status = shared.ends(f"reads-{name}", "Failed", "SourceNotReady")
    assert claim in status["message"]
    assert "attempt" not in status
    assert not shared.directory(task).exists()


def test_a_task_waits_for_a_source_that_appears(shared: Site) -> None:
    """Queued, SourceNotFound, with the condition SourcesReady false; it runs as soon as source and claim are
    there."""
    shared.submit("succeed", name="waits", sources=["late-source"])
    task = shared.reaches("waits", "Queued", reason="SourceNotFound")
    assert '"late-source"' in task["status"]["message"]
    assert condition(task, "SourcesReady")["status"] == "False"
    assert "attempt" not in task["status"]
    shared.source("late-source", "late-claim")
    shared.reaches("waits", "Queued", reason="SourceNotReady")
    shared.claim("late-claim")
    shared.succeeds("waits")


def test_a_task_whose_source_never_comes_fails_after_the_start_deadline(shared: Site) -> None:
    """It counts from when the condition turned false; the task fails with the reason that it waited for."""
    task = shared.submit("succeed", name="no-source", sources=["nowhere"], queueTimeout="1h")
    shared.ends("no-source", "Failed", "SourceNotFound")
    row = shared.row(task, "Failed")
    assert 2000 <= row["completed_at"] - row["queued_at"] < 8000
    assert shared.history.attempts(task["metadata"]["uid"]) == []


def test_waiting_for_a_source_holds_no_slot(sites: Sites) -> None:
    """With one slot, a task that waits for its source lets another one run."""
    site = sites(max_running=1, start_deadline_seconds=8)
    site.operator()
    site.submit("succeed", name="waits", sources=["missing"])
    site.reaches("waits", "Queued", reason="SourceNotFound")
    site.submit("succeed", name="runs")
    site.succeeds("runs")
    assert site.task("waits")["status"]["reason"] == "SourceNotFound"


def test_the_deadline_of_a_source_goes_on_over_a_restart(site: Site) -> None:
    """A restart of the operator does not begin the wait anew."""
    operator = site.operator(start_deadline_seconds=6)
    task = site.submit("succeed", name="waits", sources=["missing"])
    site.reaches("waits", "Queued", reason="SourceNotFound")
    operator.kill()
    site.operator(start_deadline_seconds=6)
    site.ends("waits", "Failed", "SourceNotFound")
    row = site.row(task, "Failed")
    assert 5000 <= row["completed_at"] - row["queued_at"] < 10_500
