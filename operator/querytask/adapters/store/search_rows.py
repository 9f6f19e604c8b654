"""What a list shows of a task: the columns of a summary, and how they become one. For ``search``.

Apart from ``rows``, which reads a task whole: a page of a thousand tasks must not carry their previews and
long texts.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store.records import SUMMARY_SQL, CancelRecord, ExportRecord, TaskSummary
from querytask.adapters.store.rows import Row
from querytask.adapters.store.schema import exports, results, tasks
from querytask.adapters.store.schema import queries as texts
from querytask_worker.contract import Error

_APART = frozenset({"cancel", "error", "sql", "sql_length", "rows", "export", "sources", "normal_hash"})
_OWN = tuple(item.name for item in dataclasses.fields(TaskSummary) if item.name not in _APART)
_CANCEL = tuple(item.name for item in dataclasses.fields(CancelRecord))
_ERROR = tuple(item.name for item in dataclasses.fields(Error) if item.name != "traceback")
_EXPORT = tuple(item.name for item in dataclasses.fields(ExportRecord) if item.name != "files")

SUMMARIES = (
    sa.select(
        *[tasks.c[name] for name in (*_OWN, "sources", "place")],
        *[tasks.c[f"cancel_{name}"] for name in _CANCEL],
        *[tasks.c[f"error_{name}"] for name in _ERROR],
        sa.func.substr(texts.c.sql, 1, SUMMARY_SQL).label("sql"),
        sa.func.length(texts.c.sql).label("sql_length"),
        texts.c.normal_hash,
        results.c.rows,
        *[exports.c[name].label(f"export_{name}") for name in _EXPORT],
    )
    .select_from(tasks)
    .join(texts, texts.c.hash == tasks.c.sql_hash)
    .join(results, results.c.uid == tasks.c.uid, isouter=True)
    .join(exports, exports.c.uid == tasks.c.uid, isouter=True)
    .where(tasks.c.place.in_(sa.bindparam("places", expanding=True)))
)


def summary_of(row: Row) -> TaskSummary:
    """The summary of a row of ``SUMMARIES``."""
    values: dict[str, Any] = {name: row[name] for name in (*_OWN, "sql", "sql_length", "normal_hash", "rows")}
    values["sources"] = tuple(row["sources"])
    asked = row["cancel_requested_at"] is not None
    values["cancel"] = CancelRecord(**{name: row[f"cancel_{name}"] for name in _CANCEL}) if asked else None
    values["error"] = Error(**{name: row[f"error_{name}"] for name in _ERROR}) if row["error_code"] else None
    export = row["export_attempt"] is not None
    values["export"] = ExportRecord(**{name: row[f"export_{name}"] for name in _EXPORT}) if export else None
    return TaskSummary(**values)
