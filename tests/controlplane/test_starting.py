"""Pods that never start: each gets its own reason when the start deadline is over, its pod goes, its slot
too."""

from __future__ import annotations

import pytest

from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always

CASES = {
    "image_pull": ("ImagePullFailed", "nowhere:1"),
    "unschedulable": ("Unschedulable", "Insufficient memory"),
    "mount_failure": ("VolumeNotMounted", "no such device"),
    "crash_config": ("StartTimeout", "CreateContainerConfigError"),
    "stuck": ("StartTimeout", "is starting"),
    "stuck unbound=yes": ("StartTimeout", "is starting"),
}


@pytest.fixture(scope="module")
def waiting(_shared: Site) -> dict[str, Json]:
    """A task of each case, all at once."""
    return {
        scene: _shared.submit(scene, name=f"never-{number}", retry={"limit": 2, "backoff": "1s"})
        for number, scene in enumerate(CASES)
    }


@pytest.mark.parametrize("scene", CASES)
def test_a_pod_that_does_not_start_in_time_has_its_reason(
    scene: str, waiting: dict[str, Json], shared: Site
) -> None:
    """Waits as Queued with what it waits for, then fails with the reason of that, once; the pod is gone."""
    reason, message = CASES[scene]
    task = waiting[scene]
    uid = task["metadata"]["uid"]
    status = shared.ends(task["metadata"]["name"], "Failed", reason)
    assert message in status["message"]
    assert status["attempt"] == 1
    assert {step[0] for step in shared.observer.steps(uid)} == {"Queued", "Failed"}
    shared.no_pods(task)
    row = shared.row(task, "Failed")
    (attempt,) = shared.history.attempts(uid)
    assert (row["reason"], attempt["reason"]) == (reason, reason)
    assert row["completed_at"] - attempt["granted_at"] >= 3000
    assert row["completed_at"] - attempt["granted_at"] < 9000


def test_a_waiting_pod_says_what_it_waits_for(shared: Site) -> None:
    """Before the deadline the status tells what the kubelet or the scheduler says."""
    shared.submit("image_pull", name="telling")
    shared.sees(
        lambda: "ImagePullBackOff" in shared.task("telling").get("status", {}).get("message", ""),
        "the message tells of the image",
    )
    assert shared.task("telling")["status"]["reason"] == "PodPending"
    shared.ends("telling", "Failed", "ImagePullFailed")


def test_a_gated_pod_does_not_count_as_starting(shared: Site) -> None:
    """While another system holds the pod back the start clock stands still; then the task succeeds."""
    shared.submit("gated after=4.5", name="gated")
    shared.sees(
        lambda: "scheduling gate" in shared.task("gated").get("status", {}).get("message", ""),
        "the message tells of the gate",
    )
    shared.succeeds("gated")


def test_the_pod_is_gone_before_the_task_has_failed(site: Site) -> None:
    """A pod that was given up could still start: it is deleted first, and the end comes when it is gone."""
    site.operator()
    task = site.submit("stuck", name="late")
    name = site.pod_of(task)["metadata"]["name"]
    hold = {"metadata": {"finalizers": ["querytask.dev/test-holds"]}}
    site.patch("pods", name, hold)
    site.sees(lambda: "deletionTimestamp" in site.observer.pods[name]["metadata"], "the pod is being deleted")
    always(lambda: site.task("late")["status"]["phase"] == "Queued", 2.0, what="it has not failed yet")
    site.patch("pods", name, {"metadata": {"finalizers": None}})
    site.ends("late", "Failed", "StartTimeout")


def test_a_start_deadline_goes_on_over_a_restart(site: Site) -> None:
    """The clock counts from the slot, not from the start of the operator."""
    operator = site.operator(start_deadline_seconds=6)
    task = site.submit("stuck", name="late")
    site.pod_of(task)
    operator.kill()
    site.operator(start_deadline_seconds=6)
    site.ends("late", "Failed", "StartTimeout")
    row = site.row(task, "Failed")
    (attempt,) = site.history.attempts(task["metadata"]["uid"])
    assert 6000 <= row["completed_at"] - attempt["granted_at"] < 11000


def test_the_pod_bounds_itself_for_the_time_without_an_operator(shared: Site) -> None:
    """Every pod has an ``activeDeadlineSeconds`` that covers its clocks, and not much more."""
    task = shared.submit("hang", name="bounded", timeout="100s")
    spec = shared.pod_of(task)["spec"]
    assert 100 + 3 < spec["activeDeadlineSeconds"] < 100 + 3 + 120
    assert spec["terminationGracePeriodSeconds"] == 3
    shared.cancel("bounded")
    shared.reaches("bounded", "Cancelled")
