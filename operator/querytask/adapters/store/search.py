"""Lists of tasks: the part of a list that a page asks for, how many match, and what a summary shows. Each a
function of a connection that is inside a transaction. Run by ``readers``.

A page is found by where the last one ended, never by counting rows, so that the thousandth costs what the
first one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import sqlalchemy as sa

from querytask.adapters.store import search_cursor, search_rows
from querytask.adapters.store.records import TaskSummary
from querytask.adapters.store.rows import Row
from querytask.adapters.store.schema import exports, tasks
from querytask.adapters.store.schema import queries as texts
from querytask.adapters.store.search_cursor import Cursor
from querytask.core.listing import (
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_UIDS,
    Order,
    Page,
    PageRequest,
    TaskFilter,
)
from querytask.names import ExportState

AT_ONCE = 500
"""How many tasks one statement names."""

_NEVER = -1
_KEYS: dict[Order, sa.ColumnElement[Any]] = {
    Order.CREATED: sa.type_coerce(tasks.c.created_at, sa.BigInteger),
    Order.UPDATED: sa.type_coerce(tasks.c.updated_at, sa.BigInteger),
    Order.DURATION: sa.func.coalesce(tasks.c.execution_seconds, float(_NEVER)),
    Order.FINISHED: sa.func.coalesce(sa.type_coerce(tasks.c.completed_at, sa.BigInteger), _NEVER),
    Order.NAME: sa.type_coerce(tasks.c.name, sa.Text),
}


def search(connection: sa.Connection, wanted: TaskFilter, page: PageRequest) -> Page[TaskSummary]:
    """The page that is asked for."""
    check(wanted, page)
    if wanted.uids is not None:
        found = [row for part in _parts(wanted.uids) for row in connection.execute(_all(wanted, page, part))]
        found.sort(key=lambda row: (row[1], row[0]), reverse=page.descending)
        return Page(_summaries(connection, [row[0] for row in found]), None, None)
    cursor = search_cursor.decode(page.cursor, page.order, page.descending) if page.cursor else None
    rows = list(connection.execute(_part(wanted, page, cursor)))
    more, rows = len(rows) > page.limit, rows[: page.limit]
    backward = cursor is not None and cursor.backward
    if backward:
        rows.reverse()
    after = more or backward
    before = more if backward else cursor is not None or page.offset > 0
    return Page(
        _summaries(connection, [row[0] for row in rows]),
        _beside(page, rows[-1], False) if after and rows else None,
        _beside(page, rows[0], True) if before and rows else None,
    )


def count(connection: sa.Connection, wanted: TaskFilter) -> int:
    """How many tasks match."""
    check(wanted, PageRequest())
    parts: list[Sequence[str] | None] = [None] if wanted.uids is None else list(_parts(wanted.uids))
    return sum(connection.execute(_matching(wanted, part, sa.func.count())).scalar_one() for part in parts)


def check(wanted: TaskFilter, page: PageRequest) -> None:
    """Raise ``ValueError`` for what is out of bounds."""
    if not 1 <= page.limit <= MAX_PAGE_SIZE:
        raise ValueError(f"limit must be from 1 to {MAX_PAGE_SIZE}, not {page.limit}")
    if not 0 <= page.offset <= MAX_OFFSET:
        raise ValueError(f"offset must be from 0 to {MAX_OFFSET}, not {page.offset}: a cursor goes anywhere")
    if page.cursor and page.offset:
        raise ValueError("cursor and offset must not be given together")
    if wanted.uids is not None and len(wanted.uids) > MAX_UIDS:
        raise ValueError(f"at most {MAX_UIDS} uids may be named, not {len(wanted.uids)}")


def _part(wanted: TaskFilter, page: PageRequest, cursor: Cursor | None) -> sa.Select[Any]:
    key = _KEYS[page.order]
    question = _matching(wanted, None, tasks.c.uid, key)
    down = page.descending
    if cursor is not None:
        place = sa.tuple_(*(sa.literal(value) for value in cursor.place))
        down = page.descending != cursor.backward
        here = sa.tuple_(key, tasks.c.uid)
        question = question.where(here < place if down else here > place)
    ordered = [part.desc() if down else part.asc() for part in (key, tasks.c.uid)]
    return question.order_by(*ordered).limit(page.limit + 1).offset(page.offset)


def _all(wanted: TaskFilter, page: PageRequest, uids: Sequence[str]) -> sa.Select[Any]:
    return _matching(wanted, uids, tasks.c.uid, _KEYS[page.order])


def _matching(wanted: TaskFilter, uids: Sequence[str] | None, *columns: Any) -> sa.Select[Any]:
    question = sa.select(*columns).select_from(tasks).where(*_conditions(wanted))
    if wanted.text:
        question = question.join(texts, texts.c.hash == tasks.c.sql_hash)
    return question if uids is None else question.where(tasks.c.uid.in_(uids))


def _conditions(wanted: TaskFilter) -> Iterator[sa.ColumnElement[bool]]:
    yield tasks.c.namespace == wanted.namespace
    if wanted.phases:
        yield tasks.c.phase.in_(sorted(wanted.phases))
    if wanted.owner is not None:
        yield tasks.c.owner == wanted.owner
    if wanted.export_states:
        state = sa.select(exports.c.state).where(exports.c.uid == tasks.c.uid).scalar_subquery()
        yield sa.func.coalesce(state, ExportState.NOT_APPLICABLE).in_(sorted(wanted.export_states))
    if wanted.name_prefix:
        yield tasks.c.name.startswith(wanted.name_prefix, autoescape=True)
    for word in wanted.text.split():
        yield texts.c.sql.icontains(word.rstrip("*"), autoescape=True)
    for column, since, until in (
        (tasks.c.created_at, wanted.created_since, wanted.created_until),
        (tasks.c.completed_at, wanted.finished_since, wanted.finished_until),
    ):
        if since is not None:
            yield column >= since
        if until is not None:
            yield column < until


def _beside(page: PageRequest, row: Sequence[Any], backward: bool) -> str:
    return search_cursor.encode(Cursor(page.order, page.descending, backward, (row[1], row[0])))


def _summaries(connection: sa.Connection, uids: Sequence[str]) -> tuple[TaskSummary, ...]:
    found = {}
    for part in _parts(uids):
        for row in connection.execute(search_rows.SUMMARIES, {"uids": part}).mappings():
            found[row["uid"]] = search_rows.summary_of(cast(Row, row))
    return tuple(found[uid] for uid in uids if uid in found)


def _parts(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    rest = iter(dict.fromkeys(uids))
    while part := list(islice(rest, AT_ONCE)):
        yield part
