"""What a filter demands of a row, one kind of demand at a time, as conditions of SQL. For ``search_path`` and
``search``.

A kind knows nothing of the others: which one finds the rows and which ones only check them is decided in
``search_path``.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store import placing, search_words
from querytask.adapters.store.columns import clean, millis, without_nul
from querytask.core.listing import TaskFilter

Condition = sa.ColumnElement[bool]
Span = tuple[Any, Any]
"""The least value, and the first one that is too great; ``None`` for no bound."""
WHOLE: Span = (None, None)
_SURROGATES = range(0xD800, 0xE000)
_LAST = 0x10FFFF


class Kind(enum.Enum):
    """A kind of demand, the most telling first, as far as that can be known beforehand."""

    TEXT = "text"
    NAME = "name_prefix"
    OWNER = "owner"
    EXPORT = "export_states"
    FINISHED = "finished_since, finished_until"
    PHASES = "phases"
    CREATED = "created_since, created_until"


def given(wanted: TaskFilter) -> tuple[Kind, ...]:
    """The kinds that ``wanted`` demands something of."""
    demands = {
        Kind.TEXT: bool(search_words.words(wanted.text)),
        Kind.NAME: bool(wanted.name_prefix),
        Kind.OWNER: wanted.owner is not None,
        Kind.EXPORT: bool(wanted.export_states),
        Kind.FINISHED: wanted.finished_since is not None or wanted.finished_until is not None,
        Kind.PHASES: bool(wanted.phases),
        Kind.CREATED: wanted.created_since is not None or wanted.created_until is not None,
    }
    return tuple(kind for kind in Kind if demands[kind])


def conditions(kind: Kind, wanted: TaskFilter, rows: Any) -> list[Condition]:
    """What ``kind`` demands of ``rows``: the columns of the tasks, or of an alias of them."""
    if kind is Kind.TEXT:
        return [search_words.stand_in(rows.place, wanted.text)]
    if kind is Kind.OWNER:
        return [rows.owner == wanted.owner]
    if kind is Kind.EXPORT:
        return [rows.export_status.in_(sorted(wanted.export_states))]
    if kind is Kind.PHASES:
        return [rows.phase.in_(sorted(wanted.phases))]
    column = {Kind.CREATED: rows.place, Kind.FINISHED: rows.ended, Kind.NAME: rows.name}[kind]
    return list(within(column, span(kind, wanted)))


def span(kind: Kind, wanted: TaskFilter) -> Span:
    """What ``kind`` demands, where that is a part of an order: of places, of ends, or of names."""
    if kind is Kind.CREATED:
        since, until = _least(wanted.created_since), _least(wanted.created_until)
        return (
            None if since is None else since * placing.PLACES,
            None if until is None else until * placing.PLACES,
        )
    if kind is Kind.FINISHED:
        # A task that has no end is in no part.
        return _least(wanted.finished_since) or 0, _least(wanted.finished_until)
    prefix = without_nul(clean(wanted.name_prefix))
    return prefix, _after(prefix)


def within(column: sa.ColumnElement[Any], part: Span) -> Iterator[Condition]:
    """The value of ``column`` lies in ``part``."""
    least, end = part
    if least is not None:
        yield column >= least
    if end is not None:
        yield column < end


def _least(moment: dt.datetime | None) -> int | None:
    """The first whole millisecond that is not before ``moment``: a row holds no more exact times."""
    if moment is None:
        return None
    return -(-(millis(moment) * 1000 + moment.microsecond % 1000) // 1000)


def _after(prefix: str) -> str | None:
    kept = prefix.rstrip(chr(_LAST))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
