"""``decide`` about the end of an attempt: the task's own end, or another attempt after a wait."""

from __future__ import annotations

import dataclasses

import pytest

from querytask.core.decide import decide
from querytask.core.plan import AttemptNote, SlotUse
from querytask.names import ExportState, Phase, Reason
from querytask_worker.contract import ExitCode
from tests import builders as make
from tests.unit.core.deciding import (
    NOW,
    SETTINGS,
    at,
    plan,
    requested,
    scheduled,
    told,
)


def ended(outcome=None, pod=None, *, spec=None, status=None, memory=None, **fields):
    """A running task whose pod has ended."""
    return make.observed(
        make.task(
            status=status or make.shown(Phase.RUNNING, attempt=1, started_at=make.ago(5)), **(spec or {})
        ),
        pod or make.ended_pod(code=outcome.exit_code if outcome else 0),
        memory=memory or make.memory(),
        outcome=outcome,
        **fields,
    )


@pytest.mark.parametrize("pod", [make.running_pod(), make.ended_pod(), make.gone_pod(), None])
@pytest.mark.parametrize("cancel", [False, True])
@pytest.mark.parametrize("phase", [None, Phase.QUEUED, Phase.RUNNING, Phase.CANCELLING])
def test_a_manifest_means_success(pod, cancel, phase):
    """Whatever phase the task is in, whether it is to be cancelled, and whatever became of its pod."""
    which = make.task(
        status=make.shown(phase, attempt=1) if phase else None, cancel=cancel, export={"format": "Parquet"}
    )
    o = make.observed(which, *([pod] if pod else []), memory=make.memory(), manifest=make.manifest())
    answer = plan(o)
    assert told(answer) == (Phase.SUCCEEDED, Reason.COMPLETED)
    assert answer.status.message == "1 row, late-flights.parquet"
    assert (answer.status.progress, answer.status.completed_at) == (100, make.ago(2))
    assert answer.status.export.state is ExportState.AVAILABLE
    assert (answer.slot, answer.again_after) == (SlotUse.NONE, 0)
    assert (answer.note.reason, answer.note.finished_at) == (Reason.COMPLETED, make.ago(2))


@pytest.mark.parametrize("code", [code for code in ExitCode if code not in (0, ExitCode.STOPPED)])
def test_what_the_worker_says_of_its_end_is_final(code):
    """Neither a fault of the query nor one of its limits is ever retried."""
    answer = plan(ended(make.outcome(code)))
    assert told(answer) == (Phase.FAILED, Reason(code.reason))
    assert answer.status.message == f"the worker says {code.reason}"
    assert answer.status.error.code == code.reason
    assert (answer.note.number, answer.note.exit_code, answer.note.node) == (1, code, "node-a")
    assert (answer.slot, answer.start) == (SlotUse.NONE, None)


LOST = {
    "killed": (make.ended_pod(code=137), Reason.WORKER_LOST),
    "evicted": (make.pod(phase="Failed", reason="Evicted", message="memory"), Reason.EVICTED),
    "its node is lost": (make.gone_pod(disruption="DeletionByTaintManager"), Reason.NODE_LOST),
    "rejected by the kubelet": (make.pod(phase="Failed", reason="OutOfcpu"), Reason.POD_REJECTED),
}


@pytest.mark.parametrize(("pod", "reason"), LOST.values(), ids=LOST)
def test_a_fault_of_the_infrastructure_is_followed_by_another_attempt(pod, reason):
    """After a wait without a slot; the attempt's end is recorded before the next one begins."""
    answer = plan(ended(pod=pod))
    assert told(answer) == (Phase.QUEUED, Reason.BACKING_OFF)
    assert (answer.slot, answer.start, answer.again_after) == (SlotUse.NONE, None, 10)
    assert answer.note.reason == reason
    assert answer.note.finished_at is not None
    assert f"attempt 1 was lost ({reason}: " in (answer.status.message or "")
    assert (answer.status.message or "").endswith("attempt 2 follows after 10 s")
    assert answer.status.started_at is None


@pytest.mark.parametrize(
    ("limit", "attempt", "again"), [(0, 1, None), (1, 1, 10), (1, 2, None), (2, 2, 20), (10, 7, 600)]
)
def test_retries_are_bounded_and_wait_longer_each_time(limit, attempt, again):
    """``spec.retry.limit`` counts the attempts after the first; the wait doubles, up to a bound."""
    o = make.observed(
        at(Phase.RUNNING, attempt=attempt, spec={"retry": {"limit": limit}}),
        make.ended_pod(attempt, code=137),
        memory=make.memory(attempt),
    )
    answer = plan(o)
    if again is None:
        assert told(answer) == (Phase.FAILED, Reason.WORKER_LOST)
        assert answer.status.error.retryable
    else:
        assert told(answer) == (Phase.QUEUED, Reason.BACKING_OFF)
        assert answer.again_after == again


def backing(waited: float, *pods, slot=False, **memory):
    """An attempt that was lost so long ago."""
    lost = make.memory(
        attempt_reason="WorkerLost", attempt_message="killed", attempt_finished_at=make.ago(waited), **memory
    )
    return make.observed(at(Phase.QUEUED, Reason.BACKING_OFF, attempt=1), *pods, memory=lost, slot=slot)


@pytest.mark.parametrize(
    "pods", [(), (make.ended_pod(code=137),), (make.gone_pod(),)], ids=["none", "kept", "gone"]
)
def test_backing_off(pods):
    """The wait holds no slot; after it the task stands in the line, and then the next attempt starts. A pod
    of the lost attempt that is kept for its log changes none of it."""
    waiting = plan(backing(4, *pods, slot=True))
    assert told(waiting) == (Phase.QUEUED, Reason.BACKING_OFF)
    assert (waiting.slot, waiting.again_after) == (SlotUse.NONE, 6)
    assert waiting.status.message == "attempt 1 was lost (WorkerLost: killed); attempt 2 follows after 10 s"
    in_line = plan(backing(10, *pods))
    assert told(in_line) == (Phase.QUEUED, Reason.WAITING_FOR_SLOT)
    assert in_line.slot is SlotUse.WANT
    assert in_line.status.attempt == 1
    started = plan(backing(10, *pods, slot=True))
    assert started.start == started.status.attempt == 2
    assert started.note == AttemptNote(2, NOW, pod_name=f"qt-{make.UID}-2")


def test_backing_off_without_the_history():
    """A history that was lost is made up for by the status: since when, and why."""
    status = make.shown(
        Phase.QUEUED,
        Reason.BACKING_OFF,
        attempt=1,
        message="attempt 1 was lost",
        conditions=scheduled(4, "False", "BackingOff"),
    )
    o = make.observed(make.task(status=status), make.ended_pod(code=137))
    answer = plan(o)
    assert (answer.again_after, answer.status.message) == (6, "attempt 1 was lost")
    assert decide(o, make.later(6), SETTINGS).slot is SlotUse.WANT


def test_no_attempt_beyond_the_limit_whatever_the_history_says():
    """A history that was restored may hold more attempts than the task may have."""
    o = make.observed(
        at(Phase.QUEUED, Reason.BACKING_OFF, attempt=3, spec={"retry": {"limit": 2}}),
        memory=make.memory(
            3, attempt_reason="Evicted", attempt_message="memory", attempt_finished_at=make.ago(60)
        ),
        slot=True,
    )
    answer = plan(o)
    assert told(answer) == (Phase.FAILED, Reason.EVICTED)
    assert answer.note is None, "the attempt has its end already"


def test_an_outcome_of_another_attempt_is_none_of_this_one():
    """A file that an earlier worker left does not end a later attempt."""
    o = make.observed(
        at(Phase.RUNNING, attempt=2),
        make.ended_pod(2, code=137),
        memory=make.memory(2),
        outcome=make.outcome(attempt=1),
    )
    assert told(plan(o)) == (Phase.QUEUED, Reason.BACKING_OFF)


def test_the_end_while_nobody_looked():
    """A task goes from Queued to its end where the operator was away while the worker ran."""
    o = ended(make.outcome(), status=make.shown(Phase.QUEUED, Reason.POD_PENDING, attempt=1))
    assert told(plan(o)) == (Phase.FAILED, Reason.SQL_ERROR)
    vanished = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1), memory=make.memory(), outcome=make.outcome()
    )
    assert told(plan(vanished)) == (Phase.FAILED, Reason.SQL_ERROR)


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (Phase.FAILED, Reason.OUT_OF_MEMORY),
        (Phase.CANCELLED, Reason.CANCEL_REQUESTED),
        (Phase.SUCCEEDED, Reason.COMPLETED),
    ],
)
def test_an_end_that_the_history_holds_is_not_decided_again(phase, reason):
    """After a crash between history and status the status follows the history, whatever the pod shows."""
    done = make.memory(phase=phase, reason=reason, message="as recorded", completed_at=make.ago(9))
    o = make.observed(at(Phase.RUNNING, attempt=1), make.ended_pod(code=137), memory=done)
    if phase is Phase.CANCELLED:
        o = dataclasses.replace(o, task=at(Phase.CANCELLING, attempt=1, cancel=requested(20)))
    answer = plan(o)
    assert told(answer) == (phase, reason)
    assert (answer.status.message, answer.status.completed_at) == ("as recorded", make.ago(9))
    assert (answer.note, answer.slot, answer.again_after) == (None, SlotUse.NONE, 0)
    if phase is Phase.FAILED:
        assert answer.status.error.category == "Resource"


def test_a_success_that_the_history_holds_is_shown_with_its_manifest():
    """As long as the manifest is there the status is as full as without the crash."""
    done = make.memory(phase="Succeeded", reason="Completed", completed_at=make.ago(9))
    o = make.observed(
        make.task(status=make.shown(Phase.RUNNING, attempt=1), export={}),
        memory=done,
        manifest=make.manifest(),
    )
    assert plan(o).status.result.rows == 1
    assert plan(o).status.completed_at == make.ago(9)
    expired = plan(dataclasses.replace(o, mailbox=make.mailbox()))
    assert told(expired) == (Phase.SUCCEEDED, Reason.COMPLETED)
    assert expired.status.export.state is ExportState.EXPIRED


def test_a_manifest_that_comes_to_light_later_does_not_undo_a_recorded_end():
    """The history would refuse it, so a task that tried would never come to rest."""
    done = make.memory(phase="Failed", reason="WorkerLost", completed_at=make.ago(9))
    o = make.observed(at(Phase.RUNNING, attempt=1), memory=done, manifest=make.manifest())
    assert told(plan(o)) == (Phase.FAILED, Reason.WORKER_LOST)


@pytest.mark.parametrize("reason", [None, "", "FromALaterRelease"])
def test_a_reason_that_this_release_does_not_know(reason):
    """It is no reason to stop deciding."""
    done = make.memory(phase="Failed", reason=reason, completed_at=make.ago(9))
    assert told(plan(make.observed(at(Phase.RUNNING, attempt=1), memory=done)))[1] is Reason.INTERNAL_ERROR
