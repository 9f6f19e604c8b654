"""Records to rows and back. For ``steps`` and ``queries``: where a column is renamed, this is the only code
that learns of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from querytask.adapters.store.columns import clean, millis
from querytask.adapters.store.records import (
    AttemptRecord,
    CancelRecord,
    ExportRecord,
    ResultRecord,
    TaskRecord,
    TransitionRecord,
)
from querytask.core.sql_text import normal_hash
from querytask_worker.contract import Column, Error, File, Preview

Row = Mapping[str, Any]
T = TypeVar("T")

_APART = frozenset({"sql", "cancel", "error", "result"})
_OWN = tuple(item.name for item in dataclasses.fields(TaskRecord) if item.name not in _APART)
_ERROR = tuple(item.name for item in dataclasses.fields(Error))
_CANCEL = tuple(item.name for item in dataclasses.fields(CancelRecord))
_ATTEMPT = tuple(item.name for item in dataclasses.fields(AttemptRecord))
_EXPORT = tuple(item.name for item in dataclasses.fields(ExportRecord))

NEVER = -1
"""For ``duration`` and ``ended``, of a task that has none: less than any."""


def of_text(sql: str) -> dict[str, Any]:
    """The row of ``queries``."""
    return {"hash": sql_hash(sql), "sql": sql, "normal_hash": normal_hash(clean(sql))}


def sql_hash(sql: str) -> str:
    """The SHA-256 of the text, in hexadecimal."""
    return hashlib.sha256(clean(sql).encode()).hexdigest()


def of_task(task: TaskRecord) -> dict[str, Any]:
    """The row of ``tasks``, but for what follows from the other rows: ``updated_at``, ``place``, ``version``,
    ``moved`` and ``export_status``."""
    row = {name: value for name, value in _shallow(task).items() if name not in _APART}
    row["sql_hash"] = sql_hash(task.sql)
    row["duration"] = NEVER if task.execution_seconds is None else task.execution_seconds
    row["ended"] = NEVER if task.completed_at is None else millis(task.completed_at)
    row |= {f"error_{name}": getattr(task.error, name, None) for name in _ERROR}
    row |= {f"cancel_{name}": getattr(task.cancel, name, None) for name in _CANCEL}
    return row


def task_of(row: Row) -> TaskRecord:
    """The record of a row of ``tasks`` joined with ``queries`` and, as ``result_…``, with ``results``."""
    values = {name: row[name] for name in _OWN}
    values["error"] = Error(**{name: row[f"error_{name}"] for name in _ERROR}) if row["error_code"] else None
    asked = row["cancel_requested_at"] is not None
    values["cancel"] = CancelRecord(**{name: row[f"cancel_{name}"] for name in _CANCEL}) if asked else None
    values |= {name: tuple(row[name]) for name in ("parameters", "sources")}
    result = _result_of(row) if row["result_uid"] else None
    return TaskRecord(**values, sql=row["sql"], result=result)


def of_result(result: ResultRecord) -> dict[str, Any]:
    """The row of ``results``, but for ``uid``."""
    return {
        "rows": result.rows,
        "columns": [_shallow(column) for column in result.columns],
        "preview": list(result.preview.rows),
        "truncated": result.preview.truncated,
    }


def _result_of(row: Row) -> ResultRecord:
    preview = Preview(tuple(row["result_preview"]), row["result_truncated"])
    columns = _messages(Column, row["result_columns"])
    return ResultRecord(rows=row["result_rows"], columns=columns, preview=preview)


def of_attempt(attempt: AttemptRecord) -> dict[str, Any]:
    """The row of ``attempts``, but for ``uid``."""
    return _shallow(attempt)


def attempt_of(row: Row) -> AttemptRecord:
    """The record of a row of ``attempts``."""
    return AttemptRecord(**{name: row[name] for name in _ATTEMPT})


def of_export(export: ExportRecord) -> dict[str, Any]:
    """The row of ``exports``, but for ``uid``."""
    return _shallow(export) | {"files": [_shallow(file) for file in export.files]}


def export_of(row: Row, prefix: str = "") -> ExportRecord:
    """The record of a row of ``exports``, whose columns are named with ``prefix``."""
    values = {name: row[prefix + name] for name in _EXPORT}
    return ExportRecord(**values | {"files": _messages(File, values["files"])})


def of_transition(transition: TransitionRecord) -> dict[str, Any]:
    """The row of ``transitions``, but for ``uid`` and ``id``."""
    return {name: value for name, value in _shallow(transition).items() if name != "id"}


def transition_of(row: Row) -> TransitionRecord:
    """The record of a row of ``transitions``."""
    return TransitionRecord(**{item.name: row[item.name] for item in dataclasses.fields(TransitionRecord)})


def _shallow(record: Any) -> dict[str, Any]:
    return {item.name: getattr(record, item.name) for item in dataclasses.fields(record)}


def _messages(kind: type[T], items: Iterable[Mapping[str, Any]]) -> tuple[T, ...]:
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return tuple(kind(**{name: value for name, value in item.items() if name in known}) for item in items)
