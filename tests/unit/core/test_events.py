"""The Events that tell of a task's steps."""

from __future__ import annotations

import pytest

from querytask.core import events
from querytask.names import Phase, Reason
from tests import builders as make
from tests.unit.core.deciding import since_then

NOW, REPORTER = make.NOW, "querytask-operator-0"
QUEUED = make.shown(Phase.QUEUED, attempt=1, message="waiting")


@pytest.mark.parametrize(
    ("changes", "tell"),
    [
        ({}, False),
        ({"message": "other words"}, False),
        ({"progress": 50}, False),
        ({"phase": Phase.RUNNING}, True),
        ({"reason": Reason.BACKING_OFF}, True),
        ({"attempt": 2}, True),
    ],
)
def test_a_step_is_another_phase_reason_or_attempt(changes, tell):
    """Progress and other words are no news."""
    assert events.transition(QUEUED, QUEUED.model_copy(update=changes)) is tell


def test_the_event_in_full():
    """As ``kubectl describe`` shows it: about the task, in its namespace, from this operator."""
    found = events.event(make.task(), QUEUED, NOW, REPORTER)
    name = found["metadata"].pop("name")
    assert name.startswith(f"qt-{make.UID}.")
    assert found == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "analytics"},
        "involvedObject": {
            "apiVersion": "querytask.dev/v1alpha1",
            "kind": "QueryTask",
            "name": "late-flights",
            "namespace": "analytics",
            "uid": make.UID,
        },
        "type": "Normal",
        "reason": "WaitingForSlot",
        "message": "Queued: waiting",
        "firstTimestamp": "2026-11-22T12:00:00Z",
        "lastTimestamp": "2026-11-22T12:00:00Z",
        "count": 1,
        "source": {"component": "querytask-operator"},
        "reportingComponent": "querytask.dev/querytask-operator",
        "reportingInstance": REPORTER,
    }


def test_the_same_step_has_the_same_name():
    """Told twice it is told once, for the second create meets the first one's object."""

    def name(**changes) -> str:
        found = events.event(make.task(), QUEUED.model_copy(update=changes), NOW, REPORTER)
        return str(found["metadata"]["name"])

    assert name() == name(message="other words")
    assert len({name(), name(attempt=2), name(reason=Reason.BACKING_OFF), name(phase=Phase.RUNNING)}) == 4


@pytest.mark.parametrize(
    ("phase", "reason", "kind"),
    [
        (Phase.FAILED, Reason.SQL_ERROR, "Warning"),
        (Phase.QUEUED, Reason.BACKING_OFF, "Warning"),
        (Phase.QUEUED, Reason.SOURCE_NOT_FOUND, "Warning"),
        (Phase.QUEUED, Reason.QUOTA_EXCEEDED, "Warning"),
        (Phase.CANCELLED, Reason.CANCEL_TIMEOUT, "Warning"),
        (Phase.CANCELLED, Reason.CANCEL_REQUESTED, "Normal"),
        (Phase.SUCCEEDED, Reason.COMPLETED, "Normal"),
        (Phase.RUNNING, Reason.STARTED, "Normal"),
    ],
)
def test_what_is_a_warning(phase, reason, kind):
    """What somebody may want to look at."""
    assert events.event(make.task(), make.shown(phase, reason), NOW, REPORTER)["type"] == kind


def test_sizes():
    """An Event takes 1 KiB of message and 128 characters of reporter."""
    found = events.event(make.task(), QUEUED.model_copy(update={"message": "é" * 1000}), NOW, "x" * 300)
    assert len(found["message"].encode()) <= 1024
    assert len(found["reportingInstance"]) == 128


def test_news():
    """A step is one Event; a condition that was not there before is another; nothing new is none."""
    before = make.task(status=QUEUED)
    assert events.news(before, QUEUED, NOW, REPORTER) == []
    long = QUEUED.model_copy(update={"conditions": since_then("LongRunning", 0, "True", "LongRunning")})
    assert [item["reason"] for item in events.news(before, long, NOW, REPORTER)] == ["LongRunning"]
    assert events.news(make.with_status(before, long), long, NOW, REPORTER) == []
    running = long.model_copy(update={"phase": Phase.RUNNING, "reason": Reason.STARTED})
    assert [item["reason"] for item in events.news(before, running, NOW, REPORTER)] == [
        "Started",
        "LongRunning",
    ]


def test_a_removal_by_force_is_never_silent():
    """It names the pod and its node."""
    found = events.forced(make.task(), make.running_pod(), NOW, REPORTER)
    assert (found["type"], found["reason"]) == ("Warning", "ForceDeleted")
    assert "node-a is gone for good" in found["message"]
