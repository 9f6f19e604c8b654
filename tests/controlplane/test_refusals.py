"""What the API server refuses: the pod (quota, name, rights) and the object itself."""

from __future__ import annotations

import pytest

from cluster.harness.errors import ApiError
from querytask import names
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

WORKERS = "querytask-operator-worker"


def _quota(site: Site, pods: int) -> None:
    body = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": str(pods)}}}
    site.plane.api.call("POST", site.path("resourcequotas"), body)
    until(
        lambda: (site.get("resourcequotas", "few") or {}).get("status", {}).get("hard"),
        what="the quota is in force",
    )


def test_a_quota_that_gives_way_lets_the_task_run(site: Site) -> None:
    """Queued, QuotaExceeded, with the server's sentence, and tried again until there is room."""
    _quota(site, 0)
    site.operator(start_deadline_seconds=20)
    task = site.submit("succeed", name="waits")
    seen = site.reaches("waits", "Queued", reason="QuotaExceeded")
    assert "few" in seen["status"]["message"]
    site.patch("resourcequotas", "few", {"spec": {"hard": {"pods": "5"}}})
    assert site.succeeds("waits")["attempt"] == 1
    assert len(site.history.attempts(task["metadata"]["uid"])) == 1


def test_a_quota_that_does_not_give_way_fails_the_task(site: Site) -> None:
    """After the start deadline the task has failed with QuotaExceeded, its slot is free, nothing is left."""
    _quota(site, 0)
    site.operator(max_running=1)
    task = site.submit("succeed", name="no-room")
    status = site.ends("no-room", "Failed", "QuotaExceeded")
    assert status["error"]["category"] == "Resource"
    site.delete("resourcequotas", "few")
    site.submit("succeed", name="next")
    site.succeeds("next")
    assert site.row(task, "Failed")["reason"] == "QuotaExceeded"


def test_a_pod_of_somebody_else_is_never_adopted(site: Site) -> None:
    """An object of that name which our task does not own is left alone, and the task fails with NameTaken."""
    task = site.submit("succeed", name="robbed")
    name = names.pod_name(task["metadata"]["uid"], 1)
    spec = {"containers": [{"name": "worker", "image": "somebody:1"}], "serviceAccountName": WORKERS}
    foreign: Json = {"metadata": {"name": name}, "spec": spec}
    site.plane.api.call("POST", site.path("pods"), foreign)
    site.operator()
    status = site.ends("robbed", "Failed", "NameTaken")
    assert name in status["message"]
    assert (site.get("pods", name) or {})["spec"]["containers"][0]["image"] == "somebody:1"


def test_a_policy_that_refuses_the_pod_is_told(site: Site) -> None:
    """Pod Security that a namespace demands and our pods fit is no hindrance; a LimitRange that they do not
    fit is told as PodRejected, in the server's words."""
    limit = {"type": "Container", "max": {"memory": "64Mi"}}
    site.plane.api.call(
        "POST", site.path("limitranges"), {"metadata": {"name": "small"}, "spec": {"limits": [limit]}}
    )
    site.operator()
    site.submit("succeed", name="too-big")
    status = site.ends("too-big", "Failed", "PodRejected")
    assert "64Mi" in status["message"]


def test_pod_security_restricted_takes_the_pods(site: Site) -> None:
    """A namespace that enforces the profile ``restricted`` takes our workers as they are."""
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    site.plane.api.call("PATCH", f"/api/v1/namespaces/{site.namespace}", label)
    site.operator()
    site.submit("succeed", name="restricted")
    site.succeeds("restricted")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"sql": "x" * 65_537}, "spec.sql"),
        ({"sql": "ü" * 40_000}, "spec.sql"),
        ({"export": {"format": "XLSX"}}, "spec.export.format"),
        ({"export": {"fileName": "../x"}}, "spec.export.fileName"),
        ({"export": {"fileName": "a/b"}}, "spec.export.fileName"),
        ({"timeout": "soon"}, "spec.timeout"),
        ({"resources": {"memory": "lots"}}, "spec.resources.memory"),
        ({"priority": 5000}, "spec.priority"),
    ],
)
def test_a_bad_object_never_reaches_the_operator(spec: Json, field: str, shared: Site) -> None:
    """The API server refuses it with a sentence that names the field."""
    with pytest.raises(ApiError) as refused:
        shared.submit(name="bad", **spec)
    assert refused.value.status in (400, 422)
    assert field in str(refused.value)


def test_a_running_task_cannot_be_edited(shared: Site) -> None:
    """Nothing of a spec changes but what may: not the SQL, not the timeout, and no cancellation is taken
    back."""
    shared.submit("hang", name="fixed")
    shared.reaches("fixed", "Running")
    for change in ({"sql": "SELECT 2"}, {"timeout": "1h"}, {"sources": ["other"]}, {"priority": 9}):
        with pytest.raises(ApiError) as refused:
            shared.patch(names.TASK_PLURAL, "fixed", {"spec": change})
        assert f"spec.{next(iter(change))}" in str(refused.value)
    shared.cancel("fixed")
    with pytest.raises(ApiError, match="must stay true"):
        shared.patch(names.TASK_PLURAL, "fixed", {"spec": {"cancel": False}})
    shared.ends("fixed", "Cancelled", "CancelRequested")
