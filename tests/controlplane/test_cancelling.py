"""Cancelling: in every phase of a task, more than once, and at the worst moment.

``Cancelled`` means that the worker is gone; the observer asks the API server for living pods each time it is
said.
"""

from __future__ import annotations

import pytest

from cluster.harness.errors import ApiError
from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always


def _cancelled(site: Site, task: Json, step: str) -> Json:
    """Wait for the end; demand that it tells the step, and when."""
    status = site.ends(task["metadata"]["name"], "Cancelled", "CancelRequested")
    told = status["cancel"]
    assert told["step"] == step
    assert told["requestedAt"] <= told["finishedAt"]
    assert "error" not in status
    row = site.row(task, "Cancelled")
    assert (row["cancel_step"], row["reason"]) == (step, "CancelRequested")
    assert row["cancel_requested_at"] is not None
    assert row["cancel_finished_at"] is not None
    return status


def test_a_running_task_is_interrupted_and_leaves_nothing(shared: Site) -> None:
    """Cancelling at once, Cancelled when the worker has told its end; partial files and pod are gone."""
    task = shared.submit("hang partial=yes stop=0.3", name="interrupted", export={})
    shared.reaches("interrupted", "Running")
    shared.cancel("interrupted", reason="the quarter is over")
    status = _cancelled(shared, task, "Interrupted")
    uid = task["metadata"]["uid"]
    assert [step[0] for step in shared.observer.steps(uid)] == [
        "Queued",
        "Running",
        "Cancelling",
        "Cancelled",
    ]
    assert status["cancel"]["reason"] == "the quarter is over"
    assert shared.row(task, "Cancelled")["cancel_reason"] == "the quarter is over"
    left = sorted(path.name for path in (shared.directory(task) / "1").iterdir())
    assert left == ["_assignment.json", "_outcome.json"]
    shared.no_pods(task)


def test_the_stop_is_one_patch_and_no_early_delete(shared: Site) -> None:
    """The pod gets the annotation and the deadline; its object stays until its outcome was recorded."""
    task = shared.submit("hang stop=3", name="stopped")
    name = shared.pod_of(task)["metadata"]["name"]
    shared.reaches("stopped", "Running")
    shared.cancel("stopped")
    shared.reaches("stopped", "Cancelling")
    pod = shared.sees(
        lambda: shared.observer.pods[name] if shared.observer.pods[name]["status"].get("reason") else None,
        "the kubelet stops the pod",
    )
    assert pod["metadata"]["annotations"][names.STOP_ANNOTATION] == "cancel"
    assert pod["spec"]["activeDeadlineSeconds"] == 1
    assert "deletionTimestamp" not in pod["metadata"]
    _cancelled(shared, task, "Interrupted")


def test_an_engine_that_had_to_be_killed_is_told_as_killed(shared: Site) -> None:
    """The step is what the supervisor saw."""
    task = shared.submit("hang step=Killed stop=0.2", name="killed")
    shared.reaches("killed", "Running")
    shared.cancel("killed")
    _cancelled(shared, task, "Killed")


def test_a_worker_that_ignores_its_stop_is_killed_by_the_kubelet(shared: Site) -> None:
    """No outcome is left, but the container has terminated: Cancelled, step Killed."""
    task = shared.submit("stubborn", name="stubborn")
    shared.reaches("stubborn", "Running")
    shared.cancel("stubborn")
    _cancelled(shared, task, "Killed")


def test_a_task_in_the_line_is_cancelled_without_a_pod(sites: Sites) -> None:
    """It never had a pod, and never gets one; the line goes on."""
    site = sites(max_running=1)
    site.operator()
    site.submit("hang", name="blocker")
    site.reaches("blocker", "Running")
    task = site.submit("succeed", name="waits")
    site.reaches("waits", "Queued", reason="WaitingForSlot")
    site.cancel("waits")
    status = _cancelled(site, task, "Requested")
    assert "attempt" not in status
    assert site.history.attempts(task["metadata"]["uid"]) == []
    assert not site.directory(task).exists()
    site.submit("succeed", name="next")
    site.cancel("blocker")
    site.succeeds("next")


def test_a_task_that_waits_for_a_source_is_cancelled(shared: Site) -> None:
    """The wait for a source ends at once."""
    task = shared.submit("succeed", name="sourceless", sources=["never-there"])
    shared.reaches("sourceless", "Queued", reason="SourceNotFound")
    shared.cancel("sourceless")
    _cancelled(shared, task, "Requested")


@pytest.mark.parametrize("scene", ["stuck", "stuck unbound=yes", "image_pull", "unschedulable"])
def test_a_pod_that_never_started_is_cancelled(scene: str, shared: Site) -> None:
    """Whether or not the pod has a node, nothing ran: step Requested, and no pod is left."""
    name = "pending-" + scene.replace("=", " ").replace(" ", "-").replace("_", "-")
    task = shared.submit(scene, name=name)
    shared.pod_of(task, node=False)
    shared.reaches(name, "Queued", reason="PodPending")
    shared.cancel(name)
    _cancelled(shared, task, "Requested")
    shared.no_pods(task)


def test_a_task_that_backs_off_is_cancelled(shared: Site) -> None:
    """Between two attempts there is no pod: Cancelled at once, and the next attempt never comes."""
    task = shared.submit("exit code=137", "succeed", name="between", retry={"limit": 2, "backoff": "60s"})
    shared.reaches("between", "Queued", reason="BackingOff")
    shared.cancel("between")
    status = _cancelled(shared, task, "Requested")
    assert status["attempt"] == 1
    assert [row["reason"] for row in shared.history.attempts(task["metadata"]["uid"])] == ["WorkerLost"]


def test_cancelled_in_the_second_of_its_creation(shared: Site) -> None:
    """Exactly one end, whichever the operator saw first, and never a pod that goes on."""
    tasks = []
    for number in range(5):
        tasks.append(shared.submit("hang", name=f"hasty-{number}"))
        shared.cancel(f"hasty-{number}")
    born = shared.submit("hang", name="born-cancelled", cancel=True)
    for task in (*tasks, born):
        shared.ends(task["metadata"]["name"], "Cancelled", "CancelRequested")
        shared.no_pods(task)
    assert shared.history.attempts(born["metadata"]["uid"]) == []


def test_a_second_cancel_changes_nothing(shared: Site) -> None:
    """Idempotent: the first request's time and reason stay."""
    task = shared.submit("hang stop=1", name="twice")
    shared.reaches("twice", "Running")
    shared.cancel("twice")
    first = shared.reaches("twice", "Cancelling")["status"]["cancel"]
    shared.cancel("twice")
    status = _cancelled(shared, task, "Interrupted")
    assert status["cancel"]["requestedAt"] == first["requestedAt"]


@pytest.mark.parametrize("scene", ["succeed", "fail"])
def test_a_finished_task_refuses_to_be_cancelled(scene: str, shared: Site) -> None:
    """The API server says no, and names the end."""
    name = f"over-{scene}"
    shared.submit(scene, name=name)
    phase = shared.reaches(name)["status"]["phase"]
    with pytest.raises(
        ApiError, match=f"must not change once the task has finished; it is {phase}"
    ) as refused:
        shared.cancel(name)
    assert refused.value.status == 422


def test_an_unknown_task_cannot_be_cancelled(shared: Site) -> None:
    """404."""
    with pytest.raises(ApiError) as refused:
        shared.cancel("nobody")
    assert refused.value.status == 404


def test_a_result_that_is_published_in_the_instant_of_the_stop_stands(shared: Site) -> None:
    """The race of finishing and cancelling: published is Succeeded, and the file is there."""
    shared.submit("race", name="photo-finish", export={})
    shared.reaches("photo-finish", "Running")
    shared.cancel("photo-finish")
    status = shared.succeeds("photo-finish")
    assert (shared.exports / status["export"]["path"]).exists()


def test_a_failure_in_the_instant_of_the_stop_stands(shared: Site) -> None:
    """The query had failed by its own fault before the stop took effect: that is its end."""
    task = shared.submit("race reason=SqlError", name="failed-first")
    shared.reaches("failed-first", "Running")
    shared.cancel("failed-first")
    shared.ends("failed-first", "Failed", "SqlError")
    assert shared.row(task, "Failed")["reason"] == "SqlError"


def test_a_cancel_while_the_operator_is_away_is_carried_out(site: Site) -> None:
    """What was asked for while nobody listened is done when somebody does."""
    operator = site.operator()
    task = site.submit("hang", name="later")
    site.reaches("later", "Running")
    operator.kill()
    site.cancel("later")
    site.operator()
    _cancelled(site, task, "Interrupted")


def test_an_operator_that_dies_while_cancelling_finds_the_end(site: Site) -> None:
    """The stop goes on without it; the outcome waits in the mailbox and on the kept pod."""
    operator = site.operator()
    task = site.submit("hang stop=3", name="orphaned")
    site.reaches("orphaned", "Running")
    name = site.pod_of(task)["metadata"]["name"]
    site.cancel("orphaned")
    site.reaches("orphaned", "Cancelling")
    operator.kill()
    site.sees(lambda: "terminated" in str(site.observer.pods[name]["status"]), "the worker has ended")
    always(lambda: name in site.observer.pods, 1.0, what="the pod is kept")
    site.operator()
    _cancelled(site, task, "Interrupted")
    site.no_pods(task)


def test_a_pod_that_is_deleted_by_hand_while_cancelling_ends_it(shared: Site) -> None:
    """The pod is gone, so the worker is: Cancelled."""
    task = shared.submit("stubborn", name="forced")
    shared.reaches("forced", "Running")
    shared.cancel("forced")
    shared.reaches("forced", "Cancelling")
    shared.delete("pods", names.pod_name(task["metadata"]["uid"], 1), gracePeriodSeconds=0)
    _cancelled(shared, task, "Killed")


def test_a_timeout_never_passes_through_cancelling(shared: Site) -> None:
    """A worker that does not keep its deadline is stopped by the operator: Failed, Timeout, within 5 s."""
    task = shared.submit("hang", name="overrun", timeout="2s", retry={"limit": 2})
    status = shared.ends("overrun", "Failed", "Timeout")
    steps = [step[0] for step in shared.observer.steps(task["metadata"]["uid"])]
    assert steps == ["Queued", "Running", "Failed"]
    assert status["attempt"] == 1
    assert float(status["executionSeconds"]) < 7.0


def test_a_worker_that_ignores_its_timeout_is_killed(shared: Site) -> None:
    """The kubelet's SIGKILL ends it; the operator knows why, though the worker told nothing."""
    shared.submit("stubborn", name="deaf-overrun", timeout="1s", retry={"limit": 2})
    status = shared.ends("deaf-overrun", "Failed", "Timeout")
    assert status["attempt"] == 1
