"""What a list shows of a task: the columns of a summary, and how they become one. For ``search``.

Apart from ``rows``, which reads a task whole: a page of a thousand tasks must not carry their previews and
long texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store.records import SUMMARY_SQL, CancelRecord, ExportRecord, TaskSummary
from querytask.adapters.store.schema import exports, results, tasks
from querytask.adapters.store.schema import queries as texts
from querytask_worker.contract import Error

_OF_OTHERS: dict[str, sa.ColumnElement[Any]] = {
    "sql": sa.func.substr(texts.c.sql, 1, SUMMARY_SQL),
    "sql_length": sa.func.length(texts.c.sql),
    "normal_hash": texts.c.normal_hash,
    "rows": results.c.rows,
}
_MADE = ("sources", "cancel", "error", "export")
_PLAIN = tuple(name for name in TaskSummary._fields if name not in _MADE)
_CANCEL = tuple(item.name for item in dataclasses.fields(CancelRecord))
_ERROR = tuple(item.name for item in dataclasses.fields(Error) if item.name != "traceback")
_EXPORT = tuple(item.name for item in dataclasses.fields(ExportRecord) if item.name != "files")

_SOURCES = 1 + len(_PLAIN)
_CANCEL_AT = _SOURCES + 1
_ERROR_AT = _CANCEL_AT + len(_CANCEL)
_EXPORT_AT = _ERROR_AT + len(_ERROR)
_ASKED = _CANCEL_AT + _CANCEL.index("requested_at")
_CODE = _ERROR_AT + _ERROR.index("code")
_PUBLISHED = _EXPORT_AT + _EXPORT.index("attempt")

SUMMARIES = (
    sa.select(
        tasks.c.place,
        *[_OF_OTHERS[name].label(name) if name in _OF_OTHERS else tasks.c[name] for name in _PLAIN],
        tasks.c.sources,
        *[tasks.c[f"cancel_{name}"] for name in _CANCEL],
        *[tasks.c[f"error_{name}"] for name in _ERROR],
        *[exports.c[name].label(f"export_{name}") for name in _EXPORT],
    )
    .select_from(tasks)
    .join(texts, texts.c.hash == tasks.c.sql_hash)
    .join(results, results.c.uid == tasks.c.uid, isouter=True)
    .join(exports, exports.c.uid == tasks.c.uid, isouter=True)
    .where(tasks.c.place.in_(sa.bindparam("places", expanding=True)))
)
"""The place first, then what a summary is made of."""


def summary_of(row: Sequence[Any]) -> TaskSummary:
    """The summary of a row of ``SUMMARIES``.

    By position: ten thousand rows are asked for in one question, and to look each column up by its name would
    take half of the time.
    """
    cancel = error = export = None
    if row[_ASKED] is not None:
        cancel = CancelRecord(**dict(zip(_CANCEL, row[_CANCEL_AT:_ERROR_AT], strict=True)))
    if row[_CODE]:
        error = Error(**dict(zip(_ERROR, row[_ERROR_AT:_EXPORT_AT], strict=True)))
    if row[_PUBLISHED] is not None:
        export = ExportRecord(**dict(zip(_EXPORT, row[_EXPORT_AT:], strict=True)))
    return TaskSummary._make((*row[1:_SOURCES], tuple(row[_SOURCES]), cancel, error, export))
