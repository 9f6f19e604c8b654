"""Between the reconciler's values and the history's rows, in both directions."""

from __future__ import annotations

import dataclasses
from typing import Any

from querytask.adapters.store import (
    AttemptRecord,
    CancelRecord,
    Ending,
    ExportRecord,
    ResultRecord,
    StoredTask,
    TaskRecord,
)
from querytask.api import parse
from querytask.core import conclusion
from querytask.core.decide import decide
from querytask.core.observed import Memory
from querytask.names import Phase, Reason
from querytask.runtime import recording
from querytask_worker.contract import Column, Error, File, Preview
from tests import builders as make
from tests.unit.core.deciding import requested

NOW, SETTINGS = make.NOW, make.settings()
SPEC: dict[str, Any] = {
    "parameters": [{"name": "a", "type": "INTEGER", "value": "1"}],
    "sources": ["flights"],
    "owner": "data-team",
    "resources": {"cpu": "2"},
    "export": {"format": "Parquet"},
    "priority": 7,
    "ttlAfterFinished": "1h",
}


def step(o=None, **fields: Any) -> recording.Step:
    """The rows of what is decided about a task."""
    raw = fields.pop("raw", None) or make.raw_task(spec=SPEC, metadata={"labels": {"team": "data"}})
    which = parse.task(raw)
    status = fields.pop("status", None)
    if status is not None:
        which = make.with_status(which, status)
    observed = make.observed(which, *fields.pop("pods", ()), **fields)
    return recording.step(raw, observed, decide(observed, NOW, SETTINGS))


RUNNING = make.shown(Phase.RUNNING, attempt=1, started_at=make.ago(5))
EXPORT = ExportRecord(
    attempt=1,
    state="Available",
    path=f"analytics/{make.UID}/1/late-flights.parquet",
    format="Parquet",
    compression="Zstd",
    bytes=321,
    rows=1,
    sha256=make.SHA256,
    files=(File("late-flights.parquet", 321, 1, make.SHA256),),
    expires_at=make.later(7 * 86_400),
)
RESULT = ResultRecord(rows=1, columns=(Column("answer", "INTEGER"),), preview=Preview(("[42]",)))


def test_a_task_that_succeeds():
    """Every column of its rows: the task, its attempt and its export."""
    found = step(status=RUNNING, pods=[make.ended_pod()], memory=make.memory(), manifest=make.manifest())
    assert found.task == TaskRecord(
        uid=make.UID,
        namespace="analytics",
        name="late-flights",
        created_at=make.ago(60),
        owner="data-team",
        sql=make.SQL,
        parameters=({"name": "a", "type": "INTEGER", "value": "1"},),
        sources=("flights",),
        resources={"cpu": "2"},
        spec={"export": {"format": "Parquet"}, "priority": 7, "ttlAfterFinished": "1h"},
        priority=7,
        metadata={"labels": {"team": "data"}},
        ttl_due_at=make.later(3598),
        phase="Succeeded",
        reason="Completed",
        message="1 row, late-flights.parquet",
        attempt=1,
        queued_at=make.ago(60),
        started_at=make.ago(5),
        completed_at=make.ago(2),
        execution_seconds=2.0,
        result=RESULT,
        statistics={
            "queueSeconds": "50",
            "startSeconds": "6.3",
            "engineSeconds": "1.25",
            "exportSeconds": "0.5",
            "peakMemoryBytes": 1000,
            "spillBytes": 0,
        },
    )
    assert found.attempt == AttemptRecord(
        attempt=1,
        pod_name=f"qt-{make.UID}-1",
        granted_at=make.ago(10),
        started_at=make.ago(5),
        finished_at=make.ago(2),
        reason="Completed",
        message="1 row, late-flights.parquet",
        exit_code=0,
        node="node-a",
        statistics={
            "start_seconds": 0.3,
            "engine_seconds": 1.25,
            "export_seconds": 0.5,
            "peak_memory_bytes": 1000,
            "spill_bytes": 0,
        },
    )
    assert found.export == EXPORT


def test_a_preview_only_task_has_an_export_row_that_expires():
    """Its directory is to be removed, too."""
    found = step(status=RUNNING, memory=make.memory(), manifest=make.preview_only())
    assert found.export == ExportRecord(
        attempt=1, state="NotApplicable", rows=1, expires_at=make.later(7 * 86_400)
    )


def test_a_task_that_fails_keeps_the_workers_whole_error():
    """With its traceback, which no status shows."""
    error = Error("InternalError", "oh no", "Internal", traceback="Traceback: oh no")
    told = dataclasses.replace(make.outcome(), exit_code=70, reason="InternalError", error=error)
    found = step(status=RUNNING, pods=[make.ended_pod(code=70)], memory=make.memory(), outcome=told)
    assert found.task.error == error
    assert (found.export, found.task.result) == (None, None)


def test_an_error_of_the_operators_own():
    """As the status has it."""
    status = make.shown(Phase.RUNNING, attempt=3)
    found = step(status=status, pods=[make.ended_pod(3, code=137)], memory=make.memory(3))
    words = f"pod qt-{make.UID}-3 was ended by signal 9 without having told an outcome"
    assert found.task.error == Error("WorkerLost", words, "External", retryable=True)


def test_a_cancellation():
    """Who, why, when and how far; while it lasts its phase dates from the request."""
    raw = make.raw_task(
        spec={"cancel": True},
        metadata={
            "annotations": {"querytask.dev/cancel-reason": "too slow"},
            "managedFields": [
                {
                    "manager": "kubectl-patch",
                    "fieldsV1": {"f:spec": {"f:cancel": {}}},
                    "time": "2026-11-22T11:59:51Z",
                }
            ],
        },
    )
    status = make.shown(Phase.CANCELLING, attempt=1, cancel=requested(9))
    found = step(raw=raw, status=status, pods=[make.running_pod()], memory=make.memory())
    assert found.task.cancel == CancelRecord(
        requested_at=make.ago(9), reason="too slow", step="Requested", actor="kubectl-patch"
    )
    assert found.task.phase_since == make.ago(9)
    (row,) = found.transitions(NOW)
    assert (row.phase, row.actor, row.at, row.source) == ("Cancelling", "kubectl-patch", NOW, "reconcile")


def test_a_transition_names_its_step_and_nobody_where_nobody_caused_it():
    """Attempt, phase and reason: told again it is the same row."""
    (row,) = step().transitions(NOW)
    assert (row.attempt, row.phase, row.reason, row.actor) == (0, "Queued", "WaitingForSlot", None)
    assert row.message == "waiting for one of 10 slots"


def test_the_same_step_is_equal():
    """So that it is not written twice."""
    assert step() == step()
    assert step() != step(slot=True)


# back again


def stored(found: recording.Step, *attempts: AttemptRecord) -> StoredTask:
    return StoredTask(task=found.task, sql_hash="", updated_at=NOW, attempts=attempts)


def test_memory():
    """Of a task that the history has never seen, of one that waits, and of one with attempts."""
    assert recording.memory(None) == Memory()
    waiting = step(sources=())
    found = recording.memory(stored(waiting))
    assert (found.phase, found.reason, found.attempt, found.queued_at) == ("Queued", "WaitingForSlot", 0, NOW)
    first = AttemptRecord(
        attempt=1, granted_at=make.ago(90), finished_at=make.ago(50), reason="Evicted", message="memory"
    )
    second = AttemptRecord(attempt=2, granted_at=make.ago(10))
    row = stored(step(slot=True, memory=make.memory(2)), first, second)
    found = recording.memory(row)
    assert (found.attempt, found.first_granted_at, found.granted_at) == (2, make.ago(90), make.ago(10))
    assert (found.attempt_reason, found.attempt_message, found.attempt_finished_at) == (None, "", None)
    lost = recording.memory(dataclasses.replace(row, attempts=(first,)))
    assert (lost.attempt, lost.attempt_reason, lost.attempt_message) == (1, "Evicted", "memory")
    assert lost.attempt_finished_at == make.ago(50)


def test_what_is_recorded_of_an_end_is_remembered():
    """Enough to show the end again after a crash."""
    found = recording.memory(
        stored(
            step(status=RUNNING, pods=[make.ended_pod(code=10)], memory=make.memory(), outcome=make.outcome())
        )
    )
    assert (found.phase, found.reason, found.completed_at) == ("Failed", "SqlError", make.ago(2))
    assert found.error is not None
    assert found.error.position == "1:8"
    assert found.statistics["engineSeconds"] == "1.25"


# a task whose object is gone


def test_the_ending_of_a_published_task():
    """Its row is as full as if the object were still there."""
    found = recording.ending("analytics", make.UID, conclusion.published(make.manifest()))
    assert found == Ending(
        phase=Phase.SUCCEEDED,
        reason=Reason.COMPLETED,
        message="1 row, late-flights.parquet",
        completed_at=make.ago(2),
        execution_seconds=2.0,
        result=RESULT,
        export=EXPORT,
        source="mailbox",
    )


def test_the_ending_of_a_failed_task():
    """With its error and its times."""
    end = conclusion.of_attempt(make.outcome(), make.gone_pod(), conclusion.Asked(False, False))
    found = recording.ending("analytics", make.UID, end)
    assert (found.phase, found.reason, found.completed_at) == (Phase.FAILED, Reason.SQL_ERROR, make.ago(2))
    assert (found.execution_seconds, found.export, found.error) == (2.0, None, end.error)
