"""Where a task stands in the orders of lists. For ``steps``, which calls it inside the transaction that
changes the task, and for ``search``.

A place follows from the time of creation and never changes: the numbers of one moment are handed out in the
order in which its tasks become known. A version is handed out at each change. A task that changes leaves
behind where it stood until then (``moves``), so that a list that began before it meets it there once, and not
twice or never. Only as many changes are kept as a list may outlast.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from querytask.adapters.store.columns import millis
from querytask.adapters.store.records import Moment, StoredTask
from querytask.adapters.store.schema import moves, tasks, versions

PLACES = 32768
"""How many tasks of one millisecond find a place in it; creation times are whole seconds, and no API server
takes that many objects in one. Times until the year 9999 fit into 64 bits with it."""
KEPT_CHANGES = 100_000
"""How many changes a list may outlast: minutes at the highest rate of the writer, hours or days at a usual
one. So many moves can be looked through within a page's time, where none of them is of use to it."""
_SWEEP = 16
"""At every so manieth change the old moves go."""

UPDATED, DURATION, FINISHED = "updated", "duration", "finished"

_HIGHEST = sa.select(sa.func.max(tasks.c.place)).where(
    tasks.c.place >= sa.bindparam("least"), tasks.c.place < sa.bindparam("most")
)
NEWEST = sa.select(versions.c.version).where(versions.c.namespace == sa.bindparam("of_namespace"))
_NEXT = {
    name: insert(versions)
    .values(namespace=sa.bindparam("of_namespace"), version=1)
    .on_conflict_do_update(index_elements=[versions.c.namespace], set_={"version": versions.c.version + 1})
    .returning(versions.c.version)
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def _stood(kind: str, key: sa.ColumnElement[object], since: sa.ColumnElement[int]) -> sa.Select[Any]:
    return sa.select(
        tasks.c.namespace,
        sa.bindparam("version", type_=sa.BigInteger),
        sa.literal(kind),
        sa.cast(key, sa.Double),
        tasks.c.place,
        since,
    ).where(tasks.c.uid == sa.bindparam("of_uid"))


def _left(*stood: sa.Select[Any]) -> sa.Insert:
    columns = ("namespace", "until_version", "kind", "key", "place", "since_version")
    found = stood[0] if len(stood) == 1 else sa.union_all(*stood)
    return sa.insert(moves).from_select([moves.c[name] for name in columns], found)


_STOOD = _stood(UPDATED, tasks.c.version, tasks.c.version)
_LEAVE = _left(_STOOD)
_LEAVE_ALL = _left(
    _STOOD,
    _stood(DURATION, tasks.c.duration, tasks.c.moved),
    _stood(FINISHED, tasks.c.ended, tasks.c.moved),
)
_FORGET = sa.delete(moves).where(
    moves.c.namespace == sa.bindparam("of_namespace"), moves.c.until_version <= sa.bindparam("until")
)


def first_place(created_at: Moment) -> int:
    """The lowest place of a task that was created then; also the end of all places before."""
    return millis(created_at) * PLACES


def next_place(connection: sa.Connection, created_at: Moment) -> int:
    """A free place for a task that was created then."""
    least = first_place(created_at)
    while True:
        highest = connection.execute(_HIGHEST, {"least": least, "most": least + PLACES}).scalar()
        if highest is None:
            return least
        if highest + 1 < least + PLACES:
            return int(highest) + 1
        least += PLACES


def newest(connection: sa.Connection, namespace: str) -> int:
    """The version of the last change in the namespace; 0 before the first."""
    return connection.execute(NEWEST, {"of_namespace": namespace}).scalar() or 0


def next_version(connection: sa.Connection, namespace: str) -> int:
    """The version of the change that is being written; asked for once for each."""
    statement = _NEXT[connection.dialect.name]
    return int(connection.execute(statement, {"of_namespace": namespace}).scalar_one())


def leave(connection: sa.Connection, old: StoredTask, version: int, *, ending: bool) -> None:
    """Keep where the task stands until ``version``; ``ending``: also in the orders that its end changes."""
    connection.execute(_LEAVE_ALL if ending else _LEAVE, {"version": version, "of_uid": old.task.uid})
    if version % _SWEEP == 0:
        connection.execute(_FORGET, {"of_namespace": old.task.namespace, "until": version - KEPT_CHANGES})
