"""The reads of the history, each a function of a connection that is inside a transaction. Run by
``readers``, and by ``steps`` before it writes.

Every question is answered through an index; a test asks the planner about each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

import sqlalchemy as sa

from querytask.adapters.store import rows, witness
from querytask.adapters.store.records import (
    DueExport,
    ExportRecord,
    HistoryFigures,
    Moment,
    PhaseFigures,
    StoredTask,
    TaskKey,
    ToldTransition,
    TransitionRecord,
)
from querytask.adapters.store.schema import (
    HAS_FILES,
    HAS_TTL,
    IS_OPEN,
    IS_PRESENT,
    attempts,
    exports,
    results,
    tasks,
    transitions,
)
from querytask.adapters.store.schema import queries as texts
from querytask.core.collection_facts import TaskState
from querytask.names import Phase

AT_ONCE = 500
"""How many uids go into one statement."""

TASKS_KEY = "sqlite_autoindex_tasks_1"
"""The index of the primary key of ``tasks``."""

_KEY = (tasks.c.namespace, tasks.c.name, tasks.c.uid)

_UID: sa.BindParameter[str] = sa.bindparam("uid")

TASK = (
    sa.select(
        tasks,
        texts.c.sql,
        texts.c.normal_hash,
        *[column.label(f"result_{column.name}") for column in results.c],
        *[column.label(f"export_{column.name}") for column in exports.c],
    )
    .join(texts, texts.c.hash == tasks.c.sql_hash)
    .join(results, results.c.uid == tasks.c.uid, isouter=True)
    .join(exports, exports.c.uid == tasks.c.uid, isouter=True)
    .where(tasks.c.uid == _UID)
)
ATTEMPTS = sa.select(attempts).where(attempts.c.uid == _UID).order_by(attempts.c.attempt)
EXPORT = sa.select(exports).where(exports.c.uid == _UID)
TRANSITIONS = sa.select(transitions).where(transitions.c.uid == _UID).order_by(transitions.c.id)
OPEN = sa.select(*_KEY).where(IS_OPEN, tasks.c.namespace == sa.bindparam("namespace"))
FIND_OPEN = (
    sa.select(tasks.c.uid)
    .where(IS_OPEN, tasks.c.namespace == sa.bindparam("namespace"), tasks.c.name == sa.bindparam("name"))
    .order_by(tasks.c.created_at, tasks.c.uid)
)
PRESENT = (
    sa.select(*_KEY)
    .where(IS_PRESENT, tasks.c.namespace == sa.bindparam("namespace"), tasks.c.uid > sa.bindparam("after"))
    .order_by(tasks.c.uid)
    .limit(sa.bindparam("most"))
)
STATES = (
    sa.select(
        tasks.c.uid,
        tasks.c.phase,
        tasks.c.attempt,
        tasks.c.completed_at,
        exports.c.state,
        exports.c.expires_at,
    )
    .join(exports, exports.c.uid == tasks.c.uid, isouter=True)
    .where(tasks.c.uid.in_(sa.bindparam("uids", expanding=True)))
)
DUE_EXPORTS = (
    sa.select(*_KEY, exports.c.state, exports.c.expires_at)
    .join(tasks, tasks.c.uid == exports.c.uid)
    .where(HAS_FILES, exports.c.expires_at <= sa.bindparam("now"), tasks.c.completed_at.is_not(None))
    .order_by(exports.c.expires_at)
    .limit(sa.bindparam("most"))
)
TTL_DUE = (
    sa.select(*_KEY)
    .where(HAS_TTL, tasks.c.ttl_due_at <= sa.bindparam("now"))
    .order_by(tasks.c.ttl_due_at)
    .limit(sa.bindparam("most"))
)
NEXT_TTL = sa.select(sa.func.min(tasks.c.ttl_due_at, type_=tasks.c.ttl_due_at.type)).where(HAS_TTL)
PHASES = (
    sa.select(
        tasks.c.phase,
        sa.func.count().label("number"),
        sa.func.min(tasks.c.phase_since, type_=tasks.c.phase_since.type).label("since"),
    )
    .where(IS_PRESENT)
    .group_by(tasks.c.phase)
)
LATEST = (
    sa.select(tasks.c.uid)
    .where(tasks.c.namespace == sa.bindparam("namespace"), tasks.c.name == sa.bindparam("name"))
    .order_by(tasks.c.place.desc())
    .limit(1)
)
AFTER = (
    sa.select(tasks.c.namespace, tasks.c.name, transitions)
    .join(tasks, tasks.c.uid == transitions.c.uid)
    .where(tasks.c.namespace == sa.bindparam("namespace"), transitions.c.id > sa.bindparam("after"))
    .order_by(transitions.c.id)
    .limit(sa.bindparam("most"))
    # Else the planner may begin with the tasks of the namespace, which are all.
    .with_hint(tasks, f"INDEXED BY {TASKS_KEY}", "sqlite")
)
LAST = sa.select(sa.func.max(transitions.c.id))
GIVEN = sa.text("SELECT pg_sequence_last_value(pg_get_serial_sequence('transitions', 'id')::regclass)")
COUNTS = (
    sa.select(tasks.c.phase, sa.func.count().label("number"))
    .where(tasks.c.namespace == sa.bindparam("namespace"))
    .group_by(tasks.c.phase)
)
WAITING = sa.select(sa.func.min(tasks.c.phase_since, type_=tasks.c.phase_since.type)).where(
    IS_PRESENT, tasks.c.phase == Phase.QUEUED.value, tasks.c.namespace == sa.bindparam("namespace")
)


def task(connection: sa.Connection, uid: str) -> StoredTask | None:
    """Everything of one task but its transitions."""
    row = _one(connection, TASK, uid)
    if row is None:
        return None
    return StoredTask(
        task=rows.task_of(row),
        sql_hash=row["sql_hash"],
        normal_hash=row["normal_hash"],
        updated_at=row["updated_at"],
        version=row["version"],
        attempts=tuple(rows.attempt_of(item) for item in _all(connection, ATTEMPTS, uid)),
        export=rows.export_of(row, "export_") if row["export_uid"] else None,
    )


def export(connection: sa.Connection, uid: str) -> ExportRecord | None:
    """The export of a task."""
    row = _one(connection, EXPORT, uid)
    return rows.export_of(row) if row else None


def steps(connection: sa.Connection, uid: str) -> list[TransitionRecord]:
    """The transitions of a task, in the order in which they were written."""
    return [rows.transition_of(row) for row in _all(connection, TRANSITIONS, uid)]


def open_tasks(connection: sa.Connection, namespace: str) -> list[TaskKey]:
    """Tasks that have no end yet."""
    return _keys(connection.execute(OPEN, {"namespace": namespace}))


def find_open(connection: sa.Connection, namespace: str, name: str) -> list[str]:
    """The uids of the open tasks of a name, the oldest first."""
    return list(connection.execute(FIND_OPEN, {"namespace": namespace, "name": name}).scalars())


def present_tasks(connection: sa.Connection, namespace: str, after: str, limit: int) -> list[TaskKey]:
    """A page of the tasks whose object is not known to be deleted."""
    return _keys(connection.execute(PRESENT, {"namespace": namespace, "after": after, "most": limit}))


def states(connection: sa.Connection, uids: Collection[str]) -> dict[str, TaskState]:
    """What the collector must know of those tasks."""
    found = {}
    for part in _parts(uids):
        for uid, *state in connection.execute(STATES, {"uids": part}):
            found[uid] = TaskState(*state)
    return found


def due_exports(connection: sa.Connection, now: Moment, limit: int) -> list[DueExport]:
    """Exports whose time is over and whose files are there."""
    found = connection.execute(DUE_EXPORTS, {"now": now, "most": limit})
    return [DueExport(TaskKey(*key), state, expires_at) for *key, state, expires_at in found]


def ttl_due(connection: sa.Connection, now: Moment, limit: int) -> list[TaskKey]:
    """Tasks whose object has outlived its ``ttlAfterFinished``."""
    return _keys(connection.execute(TTL_DUE, {"now": now, "most": limit}))


def next_ttl(connection: sa.Connection) -> Moment | None:
    """When the next object does."""
    return connection.execute(NEXT_TTL).scalar()


def phases(connection: sa.Connection) -> dict[str, PhaseFigures]:
    """How many tasks are in each phase, and since when the oldest is."""
    return {phase: PhaseFigures(number, since) for phase, number, since in connection.execute(PHASES)}


def latest(connection: sa.Connection, namespace: str, name: str) -> str | None:
    """The uid of the task of a name that was created last."""
    return connection.execute(LATEST, {"namespace": namespace, "name": name}).scalar()


def transitions_after(
    connection: sa.Connection, namespace: str, after: int, limit: int
) -> list[ToldTransition]:
    """The steps of all tasks that were written after ``after``."""
    found = connection.execute(AFTER, {"namespace": namespace, "after": after, "most": limit}).mappings()
    return [
        ToldTransition(TaskKey(row["namespace"], row["name"], row["uid"]), rows.transition_of(row))
        for row in cast(Iterable[rows.Row], found)
    ]


def last_transition(connection: sa.Connection) -> int:
    """The newest step of all."""
    return connection.execute(LAST).scalar() or 0


def highest_given(connection: sa.Connection) -> int:
    """The highest number that a step was given; purging does not change it."""
    if connection.dialect.name == "sqlite":
        return witness.steps(connection)
    return connection.execute(GIVEN).scalar() or 0


def figures(connection: sa.Connection, namespace: str) -> HistoryFigures:
    """How many tasks are in each phase, those whose object is gone among them."""
    asked = {"namespace": namespace}
    counts = {row.phase: row.number for row in connection.execute(COUNTS, asked)}
    return HistoryFigures(counts, connection.execute(WAITING, asked).scalar())


def _one(connection: sa.Connection, question: sa.Select[Any], uid: str) -> rows.Row | None:
    return next(iter(_all(connection, question, uid)), None)


def _all(connection: sa.Connection, question: sa.Select[Any], uid: str) -> Sequence[rows.Row]:
    return cast(Sequence[rows.Row], connection.execute(question, {"uid": uid}).mappings().all())


def _keys(found: Iterable[Any]) -> list[TaskKey]:
    return [TaskKey(namespace, name, uid) for namespace, name, uid in found]


def _parts(uids: Collection[str]) -> Iterator[Sequence[str]]:
    rest = iter(uids)
    while part := list(islice(rest, AT_ONCE)):
        yield part
