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

_OF_OTHERS = ("sql", "sql_length", "normal_hash", "rows")
_PARTS = ("cancel", "error", "export")
_OWN = tuple(item.name for item in dataclasses.fields(TaskSummary) if item.name not in {*_OF_OTHERS, *_PARTS})
_CANCEL = tuple(item.name for item in dataclasses.fields(CancelRecord))
_ERROR = tuple(item.name for item in dataclasses.fields(Error) if item.name != "traceback")
_EXPORT = tuple(item.name for item in dataclasses.fields(ExportRecord) if item.name != "files")

_NAMES = _OWN + _OF_OTHERS
_CANCEL_AT = 1 + len(_NAMES)
_ERROR_AT = _CANCEL_AT + len(_CANCEL)
_EXPORT_AT = _ERROR_AT + len(_ERROR)
_ASKED = _CANCEL_AT + _CANCEL.index("requested_at")
_CODE = _ERROR_AT + _ERROR.index("code")
_PUBLISHED = _EXPORT_AT + _EXPORT.index("attempt")

SUMMARIES = (
    sa.select(
        tasks.c.place,
        *[tasks.c[name] for name in _OWN],
        sa.func.substr(texts.c.sql, 1, SUMMARY_SQL).label("sql"),
        sa.func.length(texts.c.sql).label("sql_length"),
        texts.c.normal_hash,
        results.c.rows,
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
    values: dict[str, Any] = dict(zip(_NAMES, row[1:_CANCEL_AT], strict=True))
    values["sources"] = tuple(values["sources"])
    values["cancel"] = values["error"] = values["export"] = None
    if row[_ASKED] is not None:
        values["cancel"] = CancelRecord(**dict(zip(_CANCEL, row[_CANCEL_AT:_ERROR_AT], strict=True)))
    if row[_CODE]:
        values["error"] = Error(**dict(zip(_ERROR, row[_ERROR_AT:_EXPORT_AT], strict=True)))
    if row[_PUBLISHED] is not None:
        values["export"] = ExportRecord(**dict(zip(_EXPORT, row[_EXPORT_AT:], strict=True)))
    return TaskSummary(**values)
