"""Records with defaults that do not matter, for the tests of the history."""

from __future__ import annotations

import datetime as dt
from typing import Any

from querytask.adapters.store import (
    AttemptRecord,
    ExportRecord,
    ResultRecord,
    TaskRecord,
    TransitionRecord,
)
from querytask.names import Phase
from querytask_worker.contract import Column, File, Preview

T0 = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    """A moment after ``T0``."""
    return T0 + dt.timedelta(seconds=seconds)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> dt.datetime:
        return self.now


def task(uid: str = "uid-1", phase: str = Phase.QUEUED, **fields: Any) -> TaskRecord:
    defaults: dict[str, Any] = {
        "namespace": "analytics",
        "name": f"task-{uid}",
        "created_at": T0,
        "sql": "SELECT 1",
    }
    return TaskRecord(uid=uid, phase=phase, **defaults | fields)


def attempt(number: int = 1, **fields: Any) -> AttemptRecord:
    defaults: dict[str, Any] = {"pod_name": f"pod-{number}"}
    return AttemptRecord(attempt=number, **defaults | fields)


def step(
    phase: str = Phase.QUEUED, reason: str = "WaitingForSlot", number: int = 1, **fields: Any
) -> TransitionRecord:
    defaults: dict[str, Any] = {"at": T0}
    return TransitionRecord(attempt=number, phase=phase, reason=reason, **defaults | fields)


def export(**fields: Any) -> ExportRecord:
    defaults: dict[str, Any] = {
        "attempt": 1,
        "path": "analytics/uid-1/1/late.parquet",
        "format": "Parquet",
        "compression": "Zstd",
        "bytes": 1024,
        "rows": 16,
        "sha256": "a" * 64,
        "files": (File("late.parquet", 1024, 16, "a" * 64),),
        "expires_at": at(3600),
    }
    return ExportRecord(**defaults | fields)


def result(**fields: Any) -> ResultRecord:
    defaults: dict[str, Any] = {
        "rows": 2,
        "columns": (Column("carrier", "VARCHAR"), Column("late", "BIGINT")),
        "preview": Preview(('["UA",18446744073709551615]', '["é",null]'), truncated=True),
    }
    return ResultRecord(**defaults | fields)
