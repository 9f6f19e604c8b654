"""Which index finds the rows of a list. For ``search``.

An order is an index that holds its rows in that order; a filter that has an index of its own for the order of
creation narrows that walk; phases and export states, of which several can be asked for, walk one index for
each and merge. These pairs of filter and order cost the same on every page:

    order       filters
    created     none, one of text, owner, export_states, phases; each with created_since and created_until
    updated     none
    duration    none
    finished    none, or finished_since and finished_until
    name        none, or name_prefix
    any         uids

Every other pair is answered, too: when one of its filters leaves few rows, they are gathered and sorted, else
the order is walked and each row checked, for as long as a question may take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store import placing, search_filter, search_words
from querytask.adapters.store.schema import moves, tasks
from querytask.adapters.store.search_filter import Condition, Kind
from querytask.core.listing import Order, TaskFilter

FEW = 2000
"""So many rows are gathered and sorted rather than looked for on a walk."""

PAIRS: dict[Order, frozenset[Kind]] = {
    Order.CREATED: frozenset({Kind.TEXT, Kind.OWNER, Kind.EXPORT, Kind.PHASES}),
    Order.UPDATED: frozenset(),
    Order.DURATION: frozenset(),
    Order.FINISHED: frozenset({Kind.FINISHED}),
    Order.NAME: frozenset({Kind.NAME}),
}
"""The filters that have an index in that order; one of them at a time."""
RANGE: dict[Order, Kind] = {Order.CREATED: Kind.CREATED}
"""The filter that is a part of the order itself, beside any other."""

KINDS = {
    Order.UPDATED: placing.UPDATED,
    Order.DURATION: placing.DURATION,
    Order.FINISHED: placing.FINISHED,
}
"""The orders in which tasks move."""

_COLUMN: dict[Order, Any] = {
    Order.CREATED: tasks.c.place,
    Order.UPDATED: tasks.c.version,
    Order.DURATION: tasks.c.duration,
    Order.FINISHED: tasks.c.ended,
    Order.NAME: tasks.c.name,
}
_INDEX = {
    Order.CREATED: "ix_tasks_created",
    Order.UPDATED: "ix_tasks_updated",
    Order.DURATION: "ix_tasks_duration",
    Order.FINISHED: "ix_tasks_finished",
    Order.NAME: "ix_tasks_name",
}
_OF_KIND = {
    Kind.NAME: "ix_tasks_name",
    Kind.OWNER: "ix_tasks_owner",
    Kind.EXPORT: "ix_tasks_export",
    Kind.FINISHED: "ix_tasks_finished",
    Kind.PHASES: "ix_tasks_phases",
    Kind.CREATED: "ix_tasks_created",
}
_PLACE = "ix_tasks_place"
UID = "sqlite_autoindex_tasks_1"
"""The index of the primary key."""
_BY_KEY, _BY_VERSION = "ix_moves_kind", "sqlite_autoindex_moves_1"


@dataclass(frozen=True, slots=True)
class Arm:
    """One walk along one index: rows in the order, each with what the order compares."""

    rows: tuple[sa.FromClause, ...]
    key: sa.ColumnElement[Any]
    place: sa.ColumnElement[int]
    conditions: tuple[Condition, ...]
    index: str
    """That of ``tasks``."""
    index_of_moves: str = ""

    def select(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """The question for ``columns`` of these rows."""
        found = sa.select(*columns).select_from(*self.rows).where(*self.conditions)
        if self.index_of_moves:
            found = found.with_hint(moves, f"INDEXED BY {self.index_of_moves}", "sqlite")
        return found.with_hint(tasks, f"INDEXED BY {self.index}", "sqlite")


def is_pair(order: Order, wanted: TaskFilter) -> bool:
    """Whether an index holds just what is asked for, in that order."""
    rest = [kind for kind in search_filter.given(wanted) if kind is not RANGE.get(order)]
    return len(rest) <= 1 and PAIRS[order].issuperset(rest)


def key_of(order: Order) -> sa.ColumnElement[Any]:
    """The column of ``tasks`` that the order compares first; the place decides between equal ones."""
    return sa.type_coerce(_COLUMN[order], sa.types.NULLTYPE) if order is Order.NAME else _COLUMN[order]


def walk(order: Order, wanted: TaskFilter) -> list[Arm]:
    """The walk along the order: one arm, or one for each of several values."""
    kinds = search_filter.given(wanted)
    driver = next((kind for kind in kinds if kind in PAIRS[order]), None)
    if driver is Kind.TEXT:
        return [_words(wanted, kinds)]
    rest = tuple(_checked(wanted, tuple(kind for kind in kinds if kind is not driver)))
    index = _OF_KIND[driver] if driver else _INDEX[order]
    return [
        Arm((tasks,), key_of(order), tasks.c.place, (_here(wanted), *chosen, *rest), index)
        for chosen in _values(driver, wanted)
    ]


def gather(order: Order, wanted: TaskFilter, kind: Kind) -> list[Arm]:
    """The rows that ``kind`` leaves, whatever their order, each checked."""
    others = tuple(other for other in search_filter.given(wanted) if other is not kind)
    found = (_here(wanted), tasks.c.place.in_(few(kind, wanted)), *_checked(wanted, others))
    return [Arm((tasks,), key_of(order), tasks.c.place, found, _PLACE)]


def few(kind: Kind, wanted: TaskFilter) -> sa.Select[Any]:
    """The places of the rows that ``kind`` leaves."""
    if kind is Kind.TEXT:
        return sa.select(search_words.task_words.c.rowid).where(search_words.match(wanted.text))
    rows = tasks.alias("narrow")
    found = sa.select(rows.c.place).where(
        rows.c.namespace == wanted.namespace, *search_filter.conditions(kind, wanted, rows.c)
    )
    return found.with_hint(rows, f"INDEXED BY {_OF_KIND[kind]}", "sqlite")


def then(order: Order, wanted: TaskFilter, seen: int, changes: int, narrow: Kind | None) -> Arm:
    """The tasks that stood elsewhere in the order when the list was at version ``seen``, ``changes`` ago.

    A few changes are looked through and sorted; of many some will lie just beyond the cursor, so these are
    walked in their order.
    """
    kinds = [kind for kind in search_filter.given(wanted) if kind not in (narrow, Kind.FINISHED)]
    conditions = [
        tasks.c.place == moves.c.place,
        moves.c.namespace == wanted.namespace,
        moves.c.kind == KINDS[order],
        moves.c.until_version > seen,
        moves.c.since_version <= seen,
        *_checked(wanted, tuple(kinds)),
    ]
    if Kind.FINISHED in search_filter.given(wanted):
        ended = moves.c.key if order is Order.FINISHED else tasks.c.ended
        conditions += search_filter.finished(ended, wanted)
    if narrow is not None:
        conditions.append(moves.c.place.in_(few(narrow, wanted)))
    index = _BY_VERSION if changes <= FEW else _BY_KEY
    return Arm((moves, tasks), moves.c.key, moves.c.place, tuple(conditions), _PLACE, index)


def stays(order: Order, seen: int) -> Condition:
    """The row stands in the order where it stood at version ``seen``."""
    return (tasks.c.version if order is Order.UPDATED else tasks.c.moved) <= seen


def _here(wanted: TaskFilter) -> Condition:
    return tasks.c.namespace == wanted.namespace


def _checked(wanted: TaskFilter, kinds: tuple[Kind, ...]) -> Iterator[Condition]:
    for kind in kinds:
        yield from search_filter.conditions(kind, wanted, tasks.c)


def _values(driver: Kind | None, wanted: TaskFilter) -> list[list[Condition]]:
    if driver is Kind.PHASES:
        return [[tasks.c.phase == phase] for phase in sorted(wanted.phases)]
    if driver is Kind.EXPORT:
        return [[tasks.c.export_status == state] for state in sorted(wanted.export_states)]
    return [search_filter.conditions(driver, wanted, tasks.c) if driver else []]


def _words(wanted: TaskFilter, kinds: tuple[Kind, ...]) -> Arm:
    place = search_words.task_words.c.rowid
    rest = tuple(kind for kind in kinds if kind not in (Kind.TEXT, Kind.CREATED))
    # Of the index of words, not of the tasks: else the planner would begin with these.
    created = search_filter.created(place, wanted)
    found = (
        tasks.c.place == place,
        search_words.match(wanted.text),
        _here(wanted),
        *created,
        *_checked(wanted, rest),
    )
    return Arm((search_words.task_words, tasks), place, place, found, _PLACE)
