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
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store import placing, search_filter, search_words
from querytask.adapters.store.schema import moves, tasks
from querytask.adapters.store.search_cursor import UNIQUE, Cursor
from querytask.adapters.store.search_filter import WHOLE, Condition, Kind, Span
from querytask.core.listing import Order, TaskFilter

FEW = 10_000
"""So many rows are gathered and sorted rather than looked for on a walk."""
FEW_CHANGES = 2000
"""So many changes are looked through rather than walked past."""

PAIRS: dict[Order, frozenset[Kind]] = {
    Order.CREATED: frozenset({Kind.TEXT, Kind.OWNER, Kind.EXPORT, Kind.PHASES}),
    Order.UPDATED: frozenset(),
    Order.DURATION: frozenset(),
    Order.FINISHED: frozenset(),
    Order.NAME: frozenset(),
}
"""The filters that have an index in that order; one of them at a time."""
PART: dict[Order, Kind] = {
    Order.CREATED: Kind.CREATED,
    Order.FINISHED: Kind.FINISHED,
    Order.NAME: Kind.NAME,
}
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
_BY_KEY, _BY_VERSION = "ix_moves_kind", "sqlite_autoindex_moves_1"


@dataclass(frozen=True, slots=True)
class Beyond:
    """Where a walk begins: at a cursor, or at the end of the order that it comes from."""

    cursor: Cursor | None = None
    down: bool = True

    def within(self, arm: Arm) -> Iterator[Condition]:
        """The rest of the arm's part of the order.

        A bound is said once for each side: of two, the planner would search by one and check the other on
        each row between them.
        """
        least, end = arm.span
        if self.cursor is not None and self.down and (end is None or self.cursor.key < end):
            yield self._passed(self.cursor, arm)
            end = None
        elif self.cursor is not None and not self.down and (least is None or self.cursor.key >= least):
            yield self._passed(self.cursor, arm)
            least = None
        yield from search_filter.within(arm.key, (least, end))

    def _passed(self, cursor: Cursor, arm: Arm) -> Condition:
        if cursor.order in UNIQUE:
            return arm.key < cursor.key if self.down else arm.key > cursor.key
        here = sa.tuple_(arm.key, arm.place)
        there = sa.tuple_(sa.literal(cursor.key, arm.key.type), sa.literal(cursor.place, arm.place.type))
        return here < there if self.down else here > there


@dataclass(frozen=True, slots=True)
class Arm:
    """One walk along one index: rows in the order, each with what the order compares."""

    rows: tuple[sa.FromClause, ...]
    key: sa.ColumnElement[Any]
    place: sa.ColumnElement[int]
    conditions: tuple[Condition, ...]
    index: str
    """That of ``tasks``."""
    span: Span = WHOLE
    """The part of the order, of what ``key`` compares."""
    index_of_moves: str = ""

    def select(self, *columns: sa.ColumnElement[Any], beyond: Beyond | None = None) -> sa.Select[Any]:
        """The question for ``columns`` of these rows, or of those of them that lie beyond a place."""
        found = sa.select(*columns).select_from(*self.rows)
        found = found.where(*self.conditions, *(beyond or Beyond()).within(self))
        if self.index_of_moves:
            found = found.with_hint(moves, f"INDEXED BY {self.index_of_moves}", "sqlite")
        return found.with_hint(tasks, f"INDEXED BY {self.index}", "sqlite")


def is_pair(order: Order, wanted: TaskFilter) -> bool:
    """Whether an index holds just what is asked for, in that order."""
    rest = [kind for kind in search_filter.given(wanted) if kind is not PART.get(order)]
    return len(rest) <= 1 and PAIRS[order].issuperset(rest)


def key_of(order: Order) -> sa.ColumnElement[Any]:
    """The column of ``tasks`` that the order compares first; the place decides between equal ones."""
    return sa.type_coerce(_COLUMN[order], sa.types.NULLTYPE) if order is Order.NAME else _COLUMN[order]


def walk(order: Order, wanted: TaskFilter) -> list[Arm]:
    """The walk along the order: one arm, or one for each of several values."""
    kinds = search_filter.given(wanted)
    driver = next((kind for kind in kinds if kind in PAIRS[order]), None)
    span = part(order, wanted)
    rest = tuple(_checked(wanted, tuple(kind for kind in kinds if kind not in (driver, PART.get(order)))))
    if driver is Kind.TEXT:
        return [_words(wanted, rest, span)]
    index = _OF_KIND[driver] if driver else _INDEX[order]
    return [
        Arm((tasks,), key_of(order), tasks.c.place, (_here(wanted), *chosen, *rest), index, span)
        for chosen in _values(driver, wanted)
    ]


def part(order: Order, wanted: TaskFilter) -> Span:
    """The part of the order that the filter demands."""
    kind = PART.get(order)
    return search_filter.span(kind, wanted) if kind in search_filter.given(wanted) else WHOLE


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


def as_it_was(order: Order, arms: list[Arm], seen: int) -> list[Arm]:
    """The same walks, without the tasks that have come to where they stand after version ``seen``."""
    if order is Order.UPDATED:
        return [replace(arm, span=(None, seen + 1)) for arm in arms]
    return [replace(arm, conditions=(*arm.conditions, tasks.c.moved <= seen)) for arm in arms]


def then(order: Order, wanted: TaskFilter, seen: int, changes: int, narrow: Kind | None) -> Arm:
    """The tasks that stood elsewhere in the order when the list was at version ``seen``, ``changes`` ago.

    A few changes are looked through and sorted; of many some will lie just beyond the cursor, so these are
    walked in their order.
    """
    kinds = search_filter.given(wanted)
    conditions = [
        tasks.c.place == moves.c.place,
        moves.c.namespace == wanted.namespace,
        moves.c.kind == KINDS[order],
        moves.c.until_version > seen,
        moves.c.since_version <= seen,
        *_checked(wanted, tuple(kind for kind in kinds if kind not in (narrow, PART.get(order)))),
    ]
    if narrow is not None:
        conditions.append(moves.c.place.in_(few(narrow, wanted)))
    span = (None, seen + 1) if order is Order.UPDATED else part(order, wanted)
    index = _BY_VERSION if changes <= FEW_CHANGES else _BY_KEY
    return Arm((moves, tasks), moves.c.key, moves.c.place, tuple(conditions), _PLACE, span, index)


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


def _words(wanted: TaskFilter, rest: tuple[Condition, ...], span: Span) -> Arm:
    place = search_words.task_words.c.rowid
    found = (tasks.c.place == place, search_words.match(wanted.text), _here(wanted), *rest)
    return Arm((search_words.task_words, tasks), place, place, found, _PLACE, span)
