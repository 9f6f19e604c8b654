"""Lists of tasks: the part of a list that a page asks for, and how many match. Each a function of a
connection that is inside a transaction. Run by ``readers``.

A page is found by where the last one ended, never by counting rows, so that the thousandth costs what the
first one does. In an order in which tasks move, a list is that of the moment in which its first page was
asked for (``seen``): a task that has moved since stands, for this list, where it stood then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store import (
    placing,
    queries,
    search_cursor,
    search_filter,
    search_path,
    search_rows,
    search_words,
)
from querytask.adapters.store.records import TaskSummary, as_it_is
from querytask.adapters.store.schema import tasks
from querytask.adapters.store.search_cursor import Cursor
from querytask.adapters.store.search_filter import Kind
from querytask.core.listing import (
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_UIDS,
    Order,
    Page,
    PageRequest,
    QuestionRefused,
    TaskFilter,
)

AT_ONCE = 500
"""How many tasks one statement names."""

_KEY: sa.ColumnClause[Any] = sa.literal_column("key")
_PLACE: sa.ColumnClause[Any] = sa.literal_column("place")


def search(
    connection: sa.Connection,
    wanted: TaskFilter,
    page: PageRequest,
    shown: Callable[[TaskSummary], Any] = as_it_is,
) -> Page[Any]:
    """The page that is asked for, each task as ``shown`` makes it."""
    check(wanted, page)
    if wanted.uids is not None:
        return Page(_shown(connection, _named(connection, wanted, page), shown), None, None)
    cursor = search_cursor.decode(page.cursor, page.order, page.descending) if page.cursor else None
    seen = _seen(connection, wanted, page, cursor)
    rows = list(connection.execute(_part(connection, wanted, page, cursor, seen)))
    if not rows and cursor is not None:
        return _end(cursor)
    more, rows = len(rows) > page.limit, rows[: page.limit]
    backward = cursor is not None and cursor.backward
    if backward:
        rows.reverse()
    after = more or backward
    before = more if backward else cursor is not None or page.offset > 0
    return Page(
        _shown(connection, [row.place for row in rows], shown),
        _beside(page, rows[-1], seen, backward=False) if after and rows else None,
        _beside(page, rows[0], seen, backward=True) if before and rows else None,
    )


def _end(cursor: Cursor) -> Page[Any]:
    """The empty page where a list ended while one was on the way to it: it leads back."""
    turned = search_cursor.encode(search_cursor.turned(cursor))
    return Page((), turned, None) if cursor.backward else Page((), None, turned)


def count(connection: sa.Connection, wanted: TaskFilter) -> int:
    """How many tasks match."""
    check(wanted, PageRequest())
    if wanted.uids is not None:
        return len(_named(connection, wanted, PageRequest()))
    walked = next((order for order in Order if search_path.is_pair(order, wanted)), None)
    if connection.dialect.name == "postgresql":
        walked = Order.CREATED  # whose conditions stand side by side: that planner chooses among them
    if walked is not None:
        arms = search_path.walk(walked, wanted)
    else:
        kind = _narrowest(connection, wanted) or search_filter.given(wanted)[0]
        arms = search_path.gather(Order.CREATED, wanted, kind)
    return sum(connection.execute(arm.select(sa.func.count())).scalar_one() for arm in arms)


def check(wanted: TaskFilter, page: PageRequest) -> None:
    """Raise ``QuestionRefused`` for what is out of bounds."""
    if not 1 <= page.limit <= MAX_PAGE_SIZE:
        sentence = f"limit must be from 1 to {MAX_PAGE_SIZE}, not {page.limit}"
        raise QuestionRefused(sentence, field="limit", value=page.limit)
    if not 0 <= page.offset <= MAX_OFFSET:
        sentence = f"offset must be from 0 to {MAX_OFFSET}, not {page.offset}: a cursor goes anywhere"
        raise QuestionRefused(sentence, field="offset", value=page.offset)
    if page.cursor and page.offset:
        sentence = "cursor and offset must not be given together"
        raise QuestionRefused(sentence, field="offset", value=page.offset)
    if wanted.uids is not None and len(wanted.uids) > MAX_UIDS:
        sentence = f"at most {MAX_UIDS} uids may be named, not {len(wanted.uids)}"
        raise QuestionRefused(sentence, field="uids", value=len(wanted.uids))


def _seen(connection: sa.Connection, wanted: TaskFilter, page: PageRequest, cursor: Cursor | None) -> int:
    """The version at which the list began; 0 where it does not matter."""
    if page.order not in search_path.KINDS:
        return 0
    newest = placing.newest(connection, wanted.namespace)
    if cursor is None:
        return newest
    if cursor.seen < newest - placing.KEPT_CHANGES:
        raise QuestionRefused(
            f"cursor must be of a list that fewer than {placing.KEPT_CHANGES} changes have come after:"
            f" begin at the first page, or order by {Order.CREATED}, where a cursor stays good for ever",
            field="cursor",
            value=page.cursor,
        )
    return min(cursor.seen, newest)


def _part(
    connection: sa.Connection, wanted: TaskFilter, page: PageRequest, cursor: Cursor | None, seen: int
) -> sa.Select[Any] | sa.CompoundSelect[Any]:
    narrow = None if search_path.is_pair(page.order, wanted) else _narrowest(connection, wanted)
    arms = search_path.gather(page.order, wanted, narrow) if narrow else search_path.walk(page.order, wanted)
    down = page.descending if cursor is None else page.descending != cursor.backward
    if cursor is not None and page.order in search_path.KINDS:
        changes = placing.newest(connection, wanted.namespace) - seen
        if changes:
            arms = search_path.as_it_was(page.order, arms, seen)
            arms.append(search_path.then(page.order, wanted, seen, changes, narrow))
    beyond = search_path.Beyond(cursor, down)
    parts = [arm.select(arm.key.label("key"), arm.place.label("place"), beyond=beyond) for arm in arms]
    by = [_KEY] if page.order in search_cursor.UNIQUE else [_KEY, _PLACE]
    ways = [part.desc() if down else part.asc() for part in by]
    if len(parts) == 1:
        return parts[0].order_by(*ways).limit(page.limit + 1).offset(page.offset)
    if connection.dialect.name == "postgresql":
        # SQLite walks all arms at once; PostgreSQL does so only where their keys have one type.
        parts = [part.order_by(*ways).limit(page.offset + page.limit + 1) for part in parts]
    return sa.union_all(*parts).order_by(*ways).limit(page.limit + 1).offset(page.offset)


def _narrowest(connection: sa.Connection, wanted: TaskFilter) -> Kind | None:
    """The kind of demand that leaves the fewest rows, if these are few."""
    found: dict[Kind, int] = {}
    for kind in search_filter.given(wanted):
        some = search_path.few(kind, wanted).limit(search_path.FEW + 1).subquery()
        found[kind] = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    best = min(found, key=found.__getitem__, default=None)
    return best if best is not None and found[best] <= search_path.FEW else None


def _named(connection: sa.Connection, wanted: TaskFilter, page: PageRequest) -> list[int]:
    """The places of the tasks that are named by their uids, in order."""
    question = sa.select(search_path.key_of(page.order).label("key"), tasks.c.place).where(
        tasks.c.namespace == wanted.namespace, tasks.c.uid.in_(sa.bindparam("uids", expanding=True))
    )
    question = question.with_hint(tasks, f"INDEXED BY {queries.TASKS_KEY}", "sqlite")
    kinds = search_filter.given(wanted)
    for kind in kinds:
        if kind is not Kind.TEXT:
            question = question.where(*search_filter.conditions(kind, wanted, tasks.c))
    found = [
        row for part in _parts(wanted.uids or ()) for row in connection.execute(question, {"uids": part})
    ]
    if Kind.TEXT in kinds:
        standing = search_words.standing(connection, wanted.text, [row.place for row in found])
        found = [row for row in found if row.place in standing]
    found.sort(key=lambda row: (row.key, row.place), reverse=page.descending)
    return [row.place for row in found]


def _beside(page: PageRequest, row: Any, seen: int, *, backward: bool) -> str:
    return search_cursor.encode(Cursor(page.order, page.descending, backward, row.key, row.place, seen))


def _shown(
    connection: sa.Connection, places: Sequence[int], shown: Callable[[TaskSummary], Any]
) -> tuple[Any, ...]:
    found = {}
    # In the order of the file, whatever the order of the list is.
    for part in _parts(sorted(places)):
        for row in connection.execute(search_rows.SUMMARIES, {"places": part}).all():
            found[row[0]] = shown(search_rows.summary_of(row))
    return tuple(found[place] for place in places if place in found)


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    rest = iter(dict.fromkeys(items))
    while part := list(islice(rest, AT_ONCE)):
        yield part
