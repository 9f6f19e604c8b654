"""Forgets finished tasks whose time is over, each function inside a transaction. Run by ``history``, asked
for by the purger.

What decides is asked again here, where nothing else can write: a row that has changed since it was found
stays. With a task go its attempts, transitions, export and result, by the foreign keys, and its SQL text
when no other task has the same. One call deletes for ``BUDGET_SECONDS`` and leaves the rest to the next, so
that it is the time that is bounded and not a number of rows, whatever hangs on them.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from querytask.adapters.store.records import Moment
from querytask.adapters.store.schema import IS_KEPT, exports, queries, tasks
from querytask.core import retention
from querytask.core.retention import KeptTask

BUDGET_SECONDS = 0.005
"""For how long one call deletes. With other items of its transaction, which may take 25 ms, and the flush of
the disk, the writer is held for less than 50 ms."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What came of one call."""

    gone: tuple[str, ...]
    """The uids whose rows were deleted."""
    left: tuple[str, ...]
    """Those that there was no time for: to be given to the next call."""
    seconds: float = 0.0
    """How long the writer was held by it; with the flush of the disk, when ``history`` tells it."""


_FACTS = (
    tasks.c.uid,
    tasks.c.namespace,
    tasks.c.name,
    tasks.c.owner,
    tasks.c.updated_at,
    tasks.c.completed_at,
    tasks.c.object_deleted_at,
    exports.c.expires_at,
    exports.c.removed_at,
)
_FOUND = sa.select(*_FACTS, tasks.c.sql_hash).join(exports, exports.c.uid == tasks.c.uid, isouter=True)
CANDIDATES = (
    _FOUND.where(
        IS_KEPT,
        tasks.c.updated_at <= sa.bindparam("until"),
        sa.tuple_(tasks.c.updated_at, tasks.c.uid)
        > sa.tuple_(sa.bindparam("after_time", type_=tasks.c.updated_at.type), sa.bindparam("after_uid")),
    )
    .order_by(tasks.c.updated_at, tasks.c.uid)
    .limit(sa.bindparam("most"))
)
_ONE = _FOUND.where(tasks.c.uid == sa.bindparam("uid"))
_DELETE = sa.delete(tasks).where(tasks.c.uid == sa.bindparam("of_uid"))
OF_TEXT = sa.select(tasks.c.uid).where(tasks.c.sql_hash == sa.bindparam("hash")).limit(1)
_DELETE_TEXT = sa.delete(queries).where(queries.c.hash == sa.bindparam("of_hash"))
_FIRST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def candidates(
    connection: sa.Connection, until: Moment, after: KeptTask | None, limit: int
) -> list[KeptTask]:
    """Finished tasks whose objects are gone and whose rows did not change after ``until``, the oldest first,
    from the first one behind ``after``."""
    place = {"after_time": after.updated_at if after else _FIRST, "after_uid": after.uid if after else ""}
    found = connection.execute(CANDIDATES, place | {"until": until, "most": limit})
    return [KeptTask(*row[:-1]) for row in found]


def purge(
    connection: sa.Connection,
    uids: Sequence[str],
    now: Moment,
    kept: dt.timedelta,
    clock: Callable[[], float] = time.monotonic,
) -> Purged:
    """Delete the rows of those tasks whose time has really come; for as long as there is time, one at
    least."""
    started, gone, seen = clock(), [], 0
    for uid in uids:
        if seen and clock() - started >= BUDGET_SECONDS:
            break
        seen += 1
        row = connection.execute(_ONE, {"uid": uid}).first()
        if row is not None and retention.over(KeptTask(*row[:-1]), now, kept):
            _delete(connection, uid, row[-1])
            gone.append(uid)
    return Purged(tuple(gone), tuple(uids[seen:]), clock() - started)


def _delete(connection: sa.Connection, uid: str, sql_hash: str) -> None:
    connection.execute(_DELETE, {"of_uid": uid})
    if connection.execute(OF_TEXT, {"hash": sql_hash}).first() is None:
        connection.execute(_DELETE_TEXT, {"of_hash": sql_hash})
