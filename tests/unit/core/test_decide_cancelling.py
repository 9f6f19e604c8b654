"""``decide`` about a task that is to be cancelled, until its worker is known to be gone."""

from __future__ import annotations

import dataclasses

import pytest

from querytask.api.task_status import CancelStatus
from querytask.core import decide as module
from querytask.core.plan import SlotUse, Stop
from querytask.names import CancelStep, Condition, Phase, Reason
from querytask_worker.contract import ExitCode
from tests import builders as make
from tests.unit.core.deciding import (
    NOW,
    SETTINGS,
    cancelled,
    condition_of,
    plan,
    requested,
    told,
)


@pytest.mark.parametrize(
    "o",
    [
        pytest.param(make.observed(make.task(cancel=True)), id="in the second it was made"),
        pytest.param(make.observed(make.task(cancel=True), slot=True), id="with a slot"),
        pytest.param(
            make.observed(make.task(cancel=True, status=make.shown(Phase.QUEUED))), id="in the line"
        ),
        pytest.param(
            make.observed(make.task(cancel=True), memory=make.memory()), id="before its pod was made"
        ),
        pytest.param(
            make.observed(
                make.task(cancel=True, status=make.shown(Phase.QUEUED, Reason.BACKING_OFF, attempt=1)),
                memory=make.memory(attempt_finished_at=make.ago(1)),
            ),
            id="between two attempts",
        ),
        pytest.param(
            make.observed(make.task(cancel=True, sources=["flights"]), sources=(make.missing(),)),
            id="while a source is missing",
        ),
    ],
)
def test_without_a_pod_it_is_cancelled_at_once(o):
    """Nothing runs, so there is nothing to wait for."""
    answer = plan(o)
    assert told(answer) == (Phase.CANCELLED, Reason.CANCEL_REQUESTED)
    assert answer.status.cancel.step is CancelStep.REQUESTED
    assert answer.status.cancel.finished_at is not None
    assert (answer.slot, answer.start) == (SlotUse.NONE, None)


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.RUNNING, Phase.CANCELLING])
def test_a_pod_on_a_node_is_stopped_and_waited_for(phase):
    """Cancelling at once; the stop is one request, and Cancelled is not said before the pod has ended."""
    o = cancelled(phase, make.running_pod())
    answer = plan(o)
    assert told(answer) == (Phase.CANCELLING, Reason.CANCEL_REQUESTED)
    assert answer.stop == Stop(o.pods[0], "cancel")
    assert answer.status.cancel == CancelStatus(requested_at=NOW, step=CancelStep.REQUESTED)
    assert (answer.delete_pods, answer.slot) == ((), SlotUse.HOLD)
    assert answer.again_after == SETTINGS.stop_grace_seconds + SETTINGS.timeout_margin_seconds
    again = plan(cancelled(Phase.CANCELLING, make.running_pod(stop="cancel"), cancel=requested(5)))
    assert (again.stop, again.delete_pods, again.again_after) == (None, (), 20)
    assert again.status.cancel.requested_at == make.ago(5), "the first request counts"


def test_a_pod_that_was_being_stopped_for_its_timeout_is_not_stopped_twice():
    """One stop is enough, whatever for."""
    assert plan(cancelled(Phase.RUNNING, make.running_pod(stop="timeout"))).stop is None


def test_a_pod_without_a_node_is_deleted():
    """No kubelet is there to stop it."""
    o = cancelled(Phase.QUEUED, make.pod())
    answer = plan(o)
    assert told(answer)[0] is Phase.CANCELLING
    assert (answer.delete_pods, answer.stop) == (o.pods, None)
    deleting = plan(cancelled(Phase.CANCELLING, make.pod(deleting=True)))
    assert (deleting.delete_pods, deleting.again_after) == ((), module.GONE_PAUSE)


ENDS_OF_A_CANCEL = {
    "the statement returned": (
        make.outcome(ExitCode.STOPPED, step="Interrupted"),
        Phase.CANCELLED,
        CancelStep.INTERRUPTED,
    ),
    "the engine was killed": (
        make.outcome(ExitCode.STOPPED, step="Killed"),
        Phase.CANCELLED,
        CancelStep.KILLED,
    ),
    "it left nothing": (None, Phase.CANCELLED, CancelStep.KILLED),
    "it had failed before": (make.outcome(ExitCode.SQL_ERROR), Phase.FAILED, None),
    "it had run out of memory": (make.outcome(ExitCode.OUT_OF_MEMORY), Phase.FAILED, None),
}


@pytest.mark.parametrize(("outcome", "phase", "step"), ENDS_OF_A_CANCEL.values(), ids=ENDS_OF_A_CANCEL)
def test_how_a_cancellation_ends(outcome, phase, step):
    """Cancelled, unless the worker had failed before the stop took effect."""
    o = cancelled(
        Phase.CANCELLING, make.ended_pod(code=21, stop="cancel"), cancel=requested(5), outcome=outcome
    )
    answer = plan(o)
    assert answer.status.phase is phase
    assert answer.slot is SlotUse.NONE
    if step is not None:
        assert answer.status.cancel.step is step
        assert answer.status.cancel.finished_at == make.ago(2)
    else:
        assert answer.status.cancel.step is CancelStep.REQUESTED


def test_a_fault_while_cancelling_is_not_retried():
    """An evicted pod of a cancelled task is a cancelled task."""
    o = cancelled(Phase.CANCELLING, make.ended_pod(code=137, reason="Evicted"), cancel=requested(5))
    assert told(plan(o)) == (Phase.CANCELLED, Reason.CANCEL_REQUESTED)


def test_a_running_task_is_cancelled_by_way_of_cancelling():
    """There is no edge from Running to Cancelled, also when the worker had ended before anybody saw the
    request."""
    o = cancelled(Phase.RUNNING, make.ended_pod(code=137))
    first = plan(o)
    assert told(first) == (Phase.CANCELLING, Reason.CANCEL_REQUESTED)
    assert (first.again_after, first.note, first.end) == (0, None, None)
    second = plan(dataclasses.replace(o, task=make.with_status(o.task, first.status)))
    assert told(second) == (Phase.CANCELLED, Reason.CANCEL_REQUESTED)
    assert second.note.reason is Reason.CANCEL_REQUESTED


def test_a_pod_that_never_started_was_not_killed():
    """Of a container that never ran nobody says that its engine was."""
    o = cancelled(Phase.CANCELLING, make.pod(gone=True), cancel=requested(5))
    assert plan(o).status.cancel.step is CancelStep.REQUESTED


def test_a_stop_that_takes_too_long_is_taken_over():
    """After grace and margin the history learns why, and the pod is deleted; by force without its node."""
    late = cancelled(Phase.CANCELLING, make.running_pod(stop="cancel"), cancel=requested(25))
    answer = plan(late)
    assert told(answer)[0] is Phase.CANCELLING
    assert answer.delete_pods == late.pods
    assert answer.note.reason is Reason.CANCEL_TIMEOUT
    assert condition_of(answer, Condition.STALLED).true
    silent = cancelled(Phase.CANCELLING, make.running_pod(deleting=True), cancel=requested(40))
    assert (plan(silent).delete_pods, plan(silent).force_pods) == ((), ())
    forced = plan(dataclasses.replace(silent, node_gone=True))
    assert (forced.delete_pods, forced.force_pods) == ((), silent.pods)
    intime = cancelled(Phase.CANCELLING, make.running_pod(stop="cancel"), cancel=requested(24))
    assert plan(intime).delete_pods == ()


def test_an_overdue_cancellation_ends_as_one():
    """CancelTimeout, step Killed, unless the worker had in fact stopped in time and nobody had seen it."""
    o = cancelled(Phase.CANCELLING, make.gone_pod(), cancel=requested(60))
    answer = plan(o)
    assert told(answer) == (Phase.CANCELLED, Reason.CANCEL_TIMEOUT)
    assert answer.status.cancel.step is CancelStep.KILLED
    assert condition_of(answer, Condition.STALLED) is None
    stopped = make.outcome(ExitCode.STOPPED, step="Interrupted", finished_at=make.text(make.ago(50)))
    intime = cancelled(Phase.CANCELLING, make.gone_pod(), cancel=requested(60), outcome=stopped)
    assert told(plan(intime)) == (Phase.CANCELLED, Reason.CANCEL_REQUESTED)
