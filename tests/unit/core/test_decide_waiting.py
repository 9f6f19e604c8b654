"""``decide`` about a task that has no pod: it waits for a slot, for its sources, or for the API server."""

from __future__ import annotations

import math

import pytest

from querytask.core import decide as module
from querytask.core.plan import AttemptNote, SlotUse
from querytask.names import Condition, Phase, Reason
from tests import builders as make
from tests.unit.core.deciding import (
    GRANTED,
    NOW,
    SETTINGS,
    at,
    condition_of,
    plan,
    since_then,
    told,
)


def test_the_order_of_the_policies_is_the_one_that_is_written_down():
    """The docstring of the module is the specification: the same policies in the same order."""
    text = (module.__doc__ or "").split("counts. The order is the specification:")[1].split("``settings``")[0]
    written = [
        name.strip() for line in text.splitlines() if line.strip() for name in line.split("  ")[2].split(",")
    ]
    assert written == [policy.__name__ for policy in module.POLICIES]


def test_a_new_task_stands_in_the_line():
    """Without a slot a task waits for one, at most until its queue timeout."""
    answer = plan(make.observed(make.task(queueTimeout="100s")))
    assert told(answer) == (Phase.QUEUED, Reason.WAITING_FOR_SLOT)
    assert (answer.slot, answer.again_after, answer.start) == (SlotUse.WANT, 40, None)
    assert answer.status.message == "waiting for one of 10 slots"
    assert answer.status.queued_at == NOW


def test_with_a_slot_it_starts():
    """A slot means a first attempt: its number and its start clock are recorded with it."""
    answer = plan(make.observed(slot=True))
    assert told(answer) == (Phase.QUEUED, Reason.POD_PENDING)
    assert answer.start == answer.status.attempt == 1
    assert answer.note == AttemptNote(1, NOW, pod_name=f"qt-{make.UID}-1")
    assert answer.slot is SlotUse.HOLD
    assert answer.again_after == SETTINGS.start_deadline_seconds


def test_an_attempt_that_was_granted_before_a_crash_is_made_up_for():
    """It keeps its number and its start clock, and needs no slot of those that are free."""
    answer = plan(make.observed(memory=make.memory(attempt=2)))
    assert answer.start == 2
    assert answer.note == AttemptNote(2, GRANTED, pod_name=f"qt-{make.UID}-2")
    assert answer.slot is SlotUse.HOLD


def test_the_queue_timeout():
    """Counted from creation, to the second, and only until the first slot."""
    short = make.task(queueTimeout="60s", status=make.shown(Phase.QUEUED))
    answer = plan(make.observed(short))
    assert told(answer) == (Phase.FAILED, Reason.QUEUE_TIMEOUT)
    assert "spec.queueTimeout (60 s)" in (answer.status.message or "")
    assert answer.note is None, "there was no attempt"
    assert answer.slot is SlotUse.NONE
    barely = make.task(queueTimeout="61s", status=make.shown(Phase.QUEUED))
    assert told(plan(make.observed(barely)))[0] is Phase.QUEUED
    assert plan(make.observed(barely)).again_after == 1
    retried = make.task(queueTimeout="60s", status=make.shown(Phase.QUEUED, attempt=1))
    lost = make.memory(attempt_reason="WorkerLost", attempt_finished_at=make.ago(1000))
    assert plan(make.observed(retried, memory=lost)).again_after == math.inf


def test_a_slot_that_came_too_late_starts_nothing():
    """The queue timeout is looked at before the slot."""
    assert told(plan(make.observed(make.task(queueTimeout="60s"), slot=True)))[1] is Reason.QUEUE_TIMEOUT


@pytest.mark.parametrize("problem", [Reason.SOURCE_NOT_FOUND, Reason.SOURCE_NOT_READY])
def test_a_source_that_cannot_be_used_is_waited_for_without_a_slot(problem):
    """The task says why it waits, and how long it may is the start deadline."""
    o = make.observed(make.task(sources=["flights"]), sources=(make.missing(problem=problem),), slot=True)
    answer = plan(o)
    assert told(answer) == (Phase.QUEUED, problem)
    assert (answer.slot, answer.start, answer.again_after) == (SlotUse.NONE, None, 300)
    found = condition_of(answer, Condition.SOURCES_READY)
    assert (found.status, found.reason, found.last_transition_time) == ("False", problem, NOW)


@pytest.mark.parametrize(
    ("since", "phase", "again"), [(299, Phase.QUEUED, 1), (300, Phase.FAILED, 0), (900, Phase.FAILED, 0)]
)
def test_the_wait_for_a_source_counts_from_when_its_condition_turned_false(since, phase, again):
    """After the start deadline the task has failed, for the reason it waited for."""
    false = since_then(Condition.SOURCES_READY, since, "False", "SourceNotFound")
    waiting = make.shown(Phase.QUEUED, Reason.SOURCE_NOT_FOUND, conditions=false)
    o = make.observed(make.task(status=waiting, sources=["flights"]), sources=(make.missing(),))
    answer = plan(o)
    assert told(answer) == (phase, Reason.SOURCE_NOT_FOUND)
    assert answer.again_after == again


def test_the_queue_timeout_may_end_the_wait_for_a_source_earlier():
    """A look is due at the earlier of the two."""
    o = make.observed(make.task(sources=["flights"], queueTimeout="90s"), sources=(make.missing(),))
    assert plan(o).again_after == 30


def test_a_source_is_also_waited_for_between_two_attempts():
    """A retry needs its sources, too."""
    o = make.observed(
        at(Phase.QUEUED, Reason.BACKING_OFF, attempt=1, spec={"sources": ["flights"]}),
        memory=make.memory(attempt_reason="Evicted", attempt_finished_at=make.ago(60)),
        sources=(make.missing(),),
        slot=True,
    )
    answer = plan(o)
    assert told(answer) == (Phase.QUEUED, Reason.SOURCE_NOT_FOUND)
    assert (answer.slot, answer.start) == (SlotUse.NONE, None)


def test_a_source_that_goes_while_the_worker_runs_changes_nothing():
    """The pod has it mounted."""
    o = make.observed(
        at(Phase.RUNNING, attempt=1, spec={"sources": ["flights"]}),
        make.running_pod(),
        memory=make.memory(),
        sources=(make.missing(),),
    )
    assert told(plan(o)) == (Phase.RUNNING, Reason.STARTED)


@pytest.mark.parametrize("reason", [Reason.QUOTA_EXCEEDED, Reason.POD_REJECTED, Reason.SOURCE_NOT_FOUND])
def test_a_refusal_is_shown_and_tried_again(reason):
    """It may pass: the task says why it waits and keeps its slot."""
    fresh = make.observed(memory=make.memory(), refusal=make.refusal(reason, at=make.ago(2)))
    answer = plan(fresh)
    assert told(answer) == (Phase.QUEUED, reason)
    assert answer.status.message == f"refused: {reason}"
    assert (answer.slot, answer.start, answer.again_after) == (SlotUse.HOLD, None, 3)
    old = make.observed(memory=make.memory(), refusal=make.refusal(reason, at=make.ago(5)))
    assert plan(old).start == 1


@pytest.mark.parametrize("reason", [Reason.QUOTA_EXCEEDED, Reason.POD_REJECTED])
def test_a_refusal_that_lasts_ends_the_task(reason):
    """After the start deadline, with the reason of the refusal; it is not retried."""
    o = make.observed(memory=make.memory(granted_at=make.ago(300)), refusal=make.refusal(reason))
    answer = plan(o)
    assert told(answer) == (Phase.FAILED, reason)
    assert answer.note.reason == reason


def test_a_taken_name_ends_the_task_at_once():
    """The name of a pod follows from its task, so trying again helps nobody."""
    o = make.observed(memory=make.memory(), refusal=make.refusal(Reason.NAME_TAKEN))
    assert told(plan(o)) == (Phase.FAILED, Reason.NAME_TAKEN)


def test_a_refusal_says_nothing_of_a_pod_that_is_there():
    """Another try may have worked."""
    o = make.observed(None, make.pod(), memory=make.memory(), refusal=make.refusal(Reason.NAME_TAKEN))
    assert told(plan(o)) == (Phase.QUEUED, Reason.POD_PENDING)
