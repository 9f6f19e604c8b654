"""``decide`` about a task whose pod is there: it starts, runs, or takes too long for either."""

from __future__ import annotations

import dataclasses

import pytest

from querytask.core import decide as module
from querytask.core.decide import decide
from querytask.core.plan import AttemptNote, SlotUse, Stop
from querytask.names import Condition, Phase, Reason
from querytask_worker.contract import ExitCode
from tests import builders as make
from tests.unit.core.deciding import (
    GRANTED,
    NOW,
    SETTINGS,
    at,
    condition_of,
    plan,
    scheduled,
    told,
)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "is starting"),
        ({"unschedulable": "0/1 nodes are available"}, "finds no node: 0/1 nodes are available"),
        (
            {"waiting_reason": "ErrImagePull", "waiting_message": "no such image"},
            "cannot be pulled: ErrImagePull",
        ),
        ({"gated": True}, "held back by a scheduling gate"),
    ],
)
def test_a_pod_that_has_not_started(fields, words):
    """The task stays Queued, says what its pod waits for, and holds its slot until the deadline."""
    o = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1, conditions=scheduled()),
        make.pod(**fields),
        memory=make.memory(),
    )
    answer = plan(o)
    assert told(answer) == (Phase.QUEUED, Reason.POD_PENDING)
    assert words in (answer.status.message or "")
    assert answer.slot is SlotUse.HOLD
    assert answer.again_after == (300 if fields.get("gated") else 290)


START_FAILURES = {
    "nothing is known": ({}, "", Reason.START_TIMEOUT),
    "no node": ({"unschedulable": "0/1 nodes"}, "", Reason.UNSCHEDULABLE),
    "the image": ({"waiting_reason": "ImagePullBackOff"}, "", Reason.IMAGE_PULL_FAILED),
    "a volume": ({"waiting_reason": "ContainerCreating"}, "no such claim", Reason.VOLUME_NOT_MOUNTED),
}


@pytest.mark.parametrize(("fields", "mount", "reason"), START_FAILURES.values(), ids=START_FAILURES)
def test_a_pod_that_does_not_start_in_time_is_given_up(fields, mount, reason):
    """First the history learns why, then the pod is deleted; the task has not failed before it is gone."""
    waiting = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1, conditions=scheduled(400)),
        make.pod(**fields),
        memory=make.memory(granted_at=make.ago(300)),
        mount_failure=mount,
    )
    answer = plan(waiting)
    assert told(answer) == (Phase.QUEUED, Reason.POD_PENDING)
    assert (answer.note.reason, answer.note.finished_at) == (reason, None)
    assert answer.delete_pods == waiting.pods
    assert answer.slot is SlotUse.HOLD, "as long as its pod is there"
    noted = make.memory(attempt_reason=reason, attempt_message="as noted")
    gone = dataclasses.replace(waiting, pods=(dataclasses.replace(waiting.pods[0], gone=True),), memory=noted)
    end = plan(gone)
    assert told(end) == (Phase.FAILED, reason)
    assert end.status.message == "as noted"
    assert end.slot is SlotUse.NONE


def test_why_an_attempt_was_given_up_is_told_once():
    """The kubelet takes the reason away as soon as the pod is deleted; what was noted first stays."""
    deleting = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1, conditions=scheduled(400)),
        make.pod(waiting_reason="ContainerCreating", deleting=True),
        memory=make.memory(
            granted_at=make.ago(300), attempt_reason="ImagePullFailed", attempt_message="as noted"
        ),
    )
    answer = plan(deleting)
    assert (answer.note.reason, answer.note.message) == (Reason.IMAGE_PULL_FAILED, "as noted")
    assert answer.status.message == "as noted; the pod is being removed"


def test_the_start_deadline_to_the_second():
    """From the slot; not a second earlier, and not for a pod that is gated, or that was until lately."""

    def waiting(granted: float, since: float, **fields):
        return make.observed(
            at(Phase.QUEUED, Reason.POD_PENDING, attempt=1, conditions=scheduled(since)),
            make.pod(**fields),
            memory=make.memory(granted_at=make.ago(granted)),
        )

    assert plan(waiting(299, 299)).delete_pods == ()
    assert plan(waiting(299, 299)).again_after == 1
    assert plan(waiting(300, 300)).delete_pods != ()
    assert plan(waiting(3000, 3000, gated=True)).delete_pods == ()
    assert plan(waiting(3000, 299)).delete_pods == (), "its gate was opened 299 s ago"
    assert plan(waiting(3000, 300)).delete_pods != ()


def test_a_pod_that_is_being_deleted_is_not_deleted_again():
    """One request is enough; another look follows soon, should its event be lost."""
    o = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1, conditions=scheduled(400)),
        make.pod(deleting=True),
        memory=make.memory(granted_at=make.ago(300)),
    )
    answer = plan(o)
    assert (answer.delete_pods, answer.again_after) == ((), module.GONE_PAUSE)


def test_a_container_that_started_at_the_last_moment_is_judged_by_what_it_did():
    """A pod that was given up, but whose container ran after all, has not failed to start."""
    o = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1),
        make.ended_pod(code=ExitCode.SQL_ERROR),
        memory=make.memory(attempt_reason="StartTimeout"),
        outcome=make.outcome(),
    )
    assert told(plan(o)) == (Phase.FAILED, Reason.SQL_ERROR)


def test_a_container_that_has_started_makes_the_task_running():
    """With the attempt's number, pod, node and start; looked at again for its progress."""
    o = make.observed(at(Phase.QUEUED, attempt=1), make.running_pod(), memory=make.memory())
    answer = plan(o)
    assert told(answer) == (Phase.RUNNING, Reason.STARTED)
    assert (answer.status.attempt, answer.status.started_at) == (1, make.ago(5))
    assert answer.status.message == "attempt 1 runs on node node-a"
    assert (answer.slot, answer.again_after) == (SlotUse.HOLD, SETTINGS.progress_seconds)
    assert answer.note == AttemptNote(1, GRANTED, make.ago(5), node="node-a", pod_name=f"qt-{make.UID}-1")


@pytest.mark.parametrize(
    ("before", "told_now", "shown"), [(None, 40, 40), (60, 40, 60), (10, 100, 99), (30, None, None)]
)
def test_progress(before, told_now, shown):
    """It never falls within an attempt, and 100 is said of success only."""
    running = at(Phase.RUNNING, attempt=1, started_at=make.ago(5), progress=before)
    o = make.observed(running, make.running_pod(), memory=make.memory(), progress=make.progress(told_now))
    assert plan(o).status.progress == shown


def test_progress_starts_anew_with_an_attempt():
    """What an earlier attempt had reached says nothing."""
    earlier = at(Phase.QUEUED, Reason.POD_PENDING, attempt=1, progress=80)
    o = make.observed(
        earlier, make.running_pod(2), memory=make.memory(attempt=2), progress=make.progress(5, attempt=2)
    )
    assert plan(o).status.progress == 5
    stale = make.observed(earlier, make.running_pod(2), memory=make.memory(2), progress=make.progress(90))
    assert plan(stale).status.progress is None


def test_a_running_task_does_not_go_back_to_waiting():
    """A kubelet that has lost the container's state makes nobody wait for its start again."""
    running = at(Phase.RUNNING, attempt=1, started_at=make.ago(400), conditions=scheduled(400))
    o = make.observed(running, make.pending_pod(), memory=make.memory(granted_at=make.ago(400)))
    answer = plan(o)
    assert told(answer) == (Phase.RUNNING, Reason.STARTED)
    assert answer.delete_pods == ()


def test_a_long_run_is_said_once():
    """The condition LongRunning comes when it is due, and stays with its time."""
    o = make.observed(
        at(Phase.RUNNING, attempt=1), make.running_pod(started_at=make.ago(3600)), memory=make.memory()
    )
    first = make.observed(make.task(timeout="2h"), *o.pods, memory=o.memory)
    answer = plan(first)
    found = condition_of(answer, Condition.LONG_RUNNING)
    assert (found.status, found.last_transition_time) == ("True", NOW)
    again = decide(
        dataclasses.replace(first, task=make.with_status(first.task, answer.status)), make.later(50), SETTINGS
    )
    assert condition_of(again, Condition.LONG_RUNNING) == found
    brief = make.observed(make.task(timeout="2h"), make.running_pod(started_at=make.ago(3599)))
    assert condition_of(plan(brief), Condition.LONG_RUNNING) is None


def running_for(seconds: float, timeout: str = "100s", memory=None, **fields):
    """A task whose container started so long ago."""
    pod = make.running_pod(started_at=make.ago(seconds), **fields)
    which = at(Phase.RUNNING, spec={"timeout": timeout}, attempt=1, started_at=make.ago(seconds))
    return make.observed(which, pod, memory=memory or make.memory())


def test_the_worker_is_given_time_to_keep_its_own_deadline():
    """Timeout and margin; a look is due at the end of them."""
    assert plan(running_for(109)).stop is None
    assert plan(running_for(109)).again_after == 1


def test_a_worker_that_outlives_its_timeout_is_stopped():
    """Once, by the annotation that names the timeout; the task is still Running meanwhile."""
    o = running_for(110)
    answer = plan(o)
    assert answer.stop == Stop(o.pods[0], "timeout")
    assert told(answer) == (Phase.RUNNING, Reason.STARTED)
    assert (answer.delete_pods, answer.again_after) == ((), 25)
    asked = plan(running_for(110, stop="timeout"))
    assert (asked.stop, asked.delete_pods) == (None, ())


def test_a_stop_that_fails_ends_in_a_deletion_whose_reason_the_history_knows_first():
    """When the pod is gone, the annotation is gone with it: the note alone says that it was the timeout."""
    stuck = running_for(135, stop="timeout")
    answer = plan(stuck)
    assert answer.delete_pods == stuck.pods
    assert answer.note.reason is Reason.TIMEOUT
    assert answer.note.finished_at is None
    noted = make.memory(attempt_reason="Timeout", attempt_message=answer.note.message)
    vanished = dataclasses.replace(stuck, pods=(), memory=noted)
    assert told(plan(vanished)) == (Phase.FAILED, Reason.TIMEOUT)
    deleting = plan(running_for(135, stop="timeout", deleting=True))
    assert (deleting.delete_pods, deleting.again_after) == ((), module.GONE_PAUSE)


def test_a_pod_without_a_node_is_not_stopped_but_deleted():
    """There is no kubelet to stop it."""
    o = running_for(110, node="")
    assert plan(o).delete_pods == o.pods


def test_a_leftover_pod_goes_before_anything_else_happens():
    """Never two living pods of one task: what is shown stays until the other one is gone."""
    left = make.running_pod(1)
    o = make.observed(
        at(Phase.QUEUED, Reason.BACKING_OFF, attempt=2),
        left,
        make.ended_pod(2, code=137),
        memory=make.memory(2, attempt_finished_at=make.ago(1000)),
        slot=True,
    )
    answer = plan(o)
    assert (answer.delete_pods, answer.start, answer.again_after) == ((left,), None, module.GONE_PAUSE)
    assert answer.status == o.task.status
    deleting = dataclasses.replace(o, pods=(dataclasses.replace(left, deleting=True), o.pods[1]))
    assert plan(deleting).delete_pods == ()
    gone = dataclasses.replace(o, pods=(dataclasses.replace(left, gone=True), o.pods[1]))
    assert plan(gone).start == 3


def test_a_leftover_pod_of_a_task_that_nobody_has_looked_at():
    """There is no status to keep, so one is made."""
    answer = plan(make.observed(None, make.running_pod(1), make.running_pod(2)))
    assert told(answer) == (Phase.QUEUED, Reason.POD_PENDING)
