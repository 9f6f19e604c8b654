"""The conditions of the status that is written."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from querytask.api.metadata import condition
from querytask.api.task_status import TaskStatus
from querytask.core import conclusion, status
from querytask.names import CancelStep, Condition, ConditionReason, Phase, Reason
from tests import builders as make
from tests.unit.core.deciding import at, scheduled

NOW = make.NOW
FAILED = conclusion.failed(Reason.SQL_ERROR, "no such table", make.ago(2), position="1:8")
EXPORTING: dict[str, Any] = {"export": {"format": "Parquet"}}


def conditions(found: TaskStatus) -> dict[str, tuple[str, str]]:
    return {item.type: (item.status, item.reason) for item in found.conditions}


def of(found: TaskStatus, kind: str) -> Any:
    return condition(found.conditions, kind)


def published(**fields) -> Any:
    """A task that exports, and has published."""
    manifest = make.manifest(**fields)
    o = make.observed(
        at(Phase.RUNNING, attempt=1, started_at=make.ago(5), spec=EXPORTING),
        make.ended_pod(),
        memory=make.memory(),
        manifest=manifest,
    )
    return status.finished(o, NOW, conclusion.published(manifest))


# conditions


def test_the_conditions_of_a_waiting_task():
    """Each type is there from the first look on; what is not known yet is Unknown, never absent."""
    found = status.queued(make.observed(make.task(**EXPORTING)), NOW, Reason.WAITING_FOR_SLOT, "waiting")
    assert conditions(found) == {
        "Scheduled": ("False", "WaitingForSlot"),
        "Started": ("False", "WaitingForSlot"),
        "Exported": ("Unknown", "Unfinished"),
        "Recorded": ("True", "Recorded"),
        "Finished": ("False", "Unfinished"),
        "Succeeded": ("Unknown", "Unfinished"),
    }
    assert of(found, Condition.SCHEDULED).message == "waiting"
    assert of(found, Condition.FINISHED).message == ""


def test_the_conditions_of_a_running_task():
    """It has a pod and has started; that it exports nothing is known from the beginning."""
    o = make.observed(at(Phase.QUEUED, attempt=1), make.running_pod(), memory=make.memory())
    assert conditions(status.running(o, NOW)) == {
        "Scheduled": ("True", "PodCreated"),
        "Started": ("True", "Started"),
        "Exported": ("False", "NotApplicable"),
        "Recorded": ("True", "Recorded"),
        "Finished": ("False", "Unfinished"),
        "Succeeded": ("Unknown", "Unfinished"),
    }


def test_the_conditions_of_a_success():
    """Finished is true for every end, Succeeded for this one."""
    assert conditions(published()) == {
        "Scheduled": ("True", "PodCreated"),
        "Started": ("True", "Started"),
        "Exported": ("True", "Published"),
        "Recorded": ("True", "Recorded"),
        "Finished": ("True", "Completed"),
        "Succeeded": ("True", "Completed"),
    }


@pytest.mark.parametrize(
    "end", [FAILED, conclusion.cancelled(CancelStep.KILLED, make.ago(2))], ids=["failed", "cancelled"]
)
def test_the_conditions_of_another_end(end):
    """Finished is true, Succeeded false, each with the reason of the end."""
    o = make.observed(
        at(Phase.RUNNING, attempt=1, started_at=make.ago(5), spec=EXPORTING),
        make.ended_pod(code=10),
        memory=make.memory(),
    )
    found = status.finished(o, NOW, end)
    assert conditions(found) == {
        "Scheduled": ("True", "PodCreated"),
        "Started": ("True", "Started"),
        "Exported": ("False", end.reason),
        "Recorded": ("True", "Recorded"),
        "Finished": ("True", end.reason),
        "Succeeded": ("False", end.reason),
    }
    assert of(found, Condition.SUCCEEDED).message == end.message


def test_a_task_that_never_had_a_pod_was_not_scheduled():
    """At the end the condition tells whether it ever was."""
    end = conclusion.failed(Reason.QUEUE_TIMEOUT, "too long")
    found = status.finished(make.observed(at(Phase.QUEUED)), NOW, end)
    assert conditions(found)["Scheduled"] == ("False", "QueueTimeout")
    assert conditions(found)["Started"] == ("False", "QueueTimeout")


@pytest.mark.parametrize("pod", [make.pod(), make.pending_pod()])
def test_a_pod_that_nobody_holds_back_is_scheduled(pod):
    """From its creation on, whatever it waits for; a gate is another matter."""
    o = make.observed(at(Phase.QUEUED, attempt=1), pod, memory=make.memory())
    assert conditions(status.queued(o, NOW, Reason.POD_PENDING, "", attempt=1))["Scheduled"][0] == "True"
    gated = dataclasses.replace(o, pods=(dataclasses.replace(pod, gated=True),))
    assert conditions(status.queued(gated, NOW, Reason.POD_PENDING, "", attempt=1))["Scheduled"] == (
        "False",
        "PodPending",
    )


def test_a_lost_attempt_is_not_scheduled_any_more():
    """Though its pod is still there: since when it backs off hangs on this condition."""
    o = make.observed(
        at(Phase.RUNNING, attempt=1, started_at=make.ago(5), conditions=scheduled()),
        make.ended_pod(code=137),
        memory=make.memory(),
    )
    found = status.queued(o, NOW, Reason.BACKING_OFF, "lost", attempt=1)
    assert conditions(found)["Scheduled"] == ("False", "BackingOff")
    assert of(found, Condition.SCHEDULED).last_transition_time == NOW


def test_sources_ready_is_told_of_tasks_that_name_sources():
    """And of no others; at the end it stays as it was."""
    named = make.observed(make.task(sources=["flights"]))
    assert conditions(status.queued(named, NOW, Reason.WAITING_FOR_SLOT, ""))["SourcesReady"] == (
        "True",
        "SourcesReady",
    )
    lost = dataclasses.replace(named, sources=(make.missing(),))
    assert conditions(status.queued(lost, NOW, Reason.SOURCE_NOT_FOUND, ""))["SourcesReady"] == (
        "False",
        "SourceNotFound",
    )
    assert "SourcesReady" not in conditions(status.queued(make.observed(), NOW, Reason.WAITING_FOR_SLOT, ""))


def test_a_transition_time_moves_with_the_status_only():
    """A new reason or message of a condition is no transition; whole seconds, as metav1.Time has."""
    first = status.queued(make.observed(), make.ago(30.5), Reason.WAITING_FOR_SLOT, "waiting")
    assert of(first, Condition.STARTED).last_transition_time == make.ago(31)
    o = make.observed(make.with_status(make.task(), first), make.pod(), memory=make.memory())
    second = status.queued(o, NOW, Reason.POD_PENDING, "another message", attempt=1)
    assert of(second, Condition.STARTED).reason == "PodPending"
    assert of(second, Condition.STARTED).last_transition_time == make.ago(31)
    assert of(second, Condition.SCHEDULED).last_transition_time == NOW


def test_every_part_tells_for_which_generation_it_was_made():
    """An older one than the object's says that the status is out of date."""
    o = make.observed(make.task(metadata={"generation": 7}))
    found = status.queued(o, NOW, Reason.WAITING_FOR_SLOT, "")
    assert found.observed_generation == 7
    assert {item.observed_generation for item in found.conditions} == {7}


# Recorded


def test_what_the_history_could_not_take_is_said():
    """With the reason, and since when: the time does not move with every look."""
    o = make.observed(
        make.with_status(make.task(), status.queued(make.observed(), make.ago(90), Reason.STARTED, ""))
    )
    now_shown = status.queued(o, NOW, Reason.WAITING_FOR_SLOT, "")
    first = status.unrecorded(o, now_shown, NOW, "the history is full")
    found = of(first, Condition.RECORDED)
    assert (found.status, found.reason, found.message) == (
        "False",
        "HistoryUnavailable",
        "the history is full",
    )
    assert found.last_transition_time == NOW
    later = dataclasses.replace(o, task=make.with_status(o.task, first))
    again = status.queued(later, make.later(5), Reason.WAITING_FOR_SLOT, "")
    second = status.unrecorded(later, again, make.later(5), "the history is full")
    assert second == first, "another time would be another write, every few seconds"
    mended = status.queued(later, make.later(9), Reason.WAITING_FOR_SLOT, "")
    assert of(mended, Condition.RECORDED).true
    assert of(mended, Condition.RECORDED).last_transition_time == make.later(9)


def test_an_end_that_was_not_recorded_is_mended_without_another_change():
    """A finished task's status stays as it is, but for the condition Recorded."""
    o = make.observed(at(Phase.RUNNING, attempt=1), make.ended_pod(code=10), memory=make.memory())
    end = status.finished(o, NOW, FAILED)
    lost = status.unrecorded(o, end, NOW, "full")
    after = make.observed(make.with_status(o.task, lost))
    mended = status.recorded(after, make.later(60))
    assert of(mended, Condition.RECORDED).true
    assert of(mended, Condition.RECORDED).reason == ConditionReason.RECORDED
    assert mended.model_copy(update={"conditions": ()}) == end.model_copy(update={"conditions": ()})
    assert status.recorded(make.observed(make.with_status(o.task, mended)), make.later(99)) == mended
