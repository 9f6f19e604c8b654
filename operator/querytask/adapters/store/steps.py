"""The writes of the history, each a function of a connection that is inside a transaction. Run by
``writer``, asked for by ``history``.

What is there is read, joined in ``merge`` and written back only where it differs: a step that is told a
second time writes nothing. This is sound because a history has one writing connection, whose transactions
exclude all others from their start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from querytask.adapters.store import merge, queries, rows
from querytask.adapters.store.records import (
    AttemptRecord,
    Ending,
    ExportRecord,
    Moment,
    ResultRecord,
    StoredTask,
    TaskRecord,
    TransitionRecord,
)
from querytask.adapters.store.schema import attempts, exports, heartbeat, results, tasks, transitions
from querytask.adapters.store.schema import queries as texts


@dataclass(frozen=True, slots=True)
class Step:
    """What ``record`` is asked to write."""

    task: TaskRecord
    attempt: AttemptRecord | None = None
    export: ExportRecord | None = None
    transitions: Sequence[TransitionRecord] = ()


def record(connection: sa.Connection, step: Step, now: Moment) -> StoredTask:
    """Write ``step`` and return the rows as they then stand."""
    old = queries.task(connection, step.task.uid)
    new = _joined(old, step, now)
    _write_task(connection, old, new.task, now)
    changed = _write_attempt(connection, old, new, step.attempt)
    changed = _write_export(connection, old, new) or changed
    changed = _write_transitions(connection, new.task.uid, step.transitions) or changed
    if old is not None and (changed or new.task != old.task):
        connection.execute(sa.update(tasks).where(tasks.c.uid == new.task.uid).values(updated_at=now))
        return replace(new, updated_at=now)
    return new


def close_deleted(
    connection: sa.Connection, uid: str, at: Moment, ending: Ending, now: Moment
) -> StoredTask | None:
    """Note that the object is gone; give the row ``ending`` unless it has its end."""
    old = queries.task(connection, uid)
    if old is None:
        return None
    task = replace(old.task, object_deleted_at=at)
    if old.finished:
        return record(connection, Step(task), now)
    return record(connection, _ended(task, at, ending), now)


def mark_export(connection: sa.Connection, uid: str, state: str, at: Moment) -> None:
    """Note that the files of an export are gone."""
    if (export := queries.export(connection, uid)) is not None:
        gone = merge.removed(export, state, at)
        if gone != export:
            _update_export(connection, uid, gone)


def correct_expiry(connection: sa.Connection, uid: str, expires_at: Moment) -> None:
    """Let the row say when the files go."""
    if (export := queries.export(connection, uid)) is not None and export.removed_at is None:
        _update_export(connection, uid, replace(export, expires_at=expires_at))


def beat(connection: sa.Connection, now: Moment) -> None:
    """Overwrite the heartbeat."""
    if connection.execute(sa.update(heartbeat).values(at=now)).rowcount == 0:
        connection.execute(sa.insert(heartbeat).values(id=1, at=now))


def _joined(old: StoredTask | None, step: Step, now: Moment) -> StoredTask:
    task = merge.task(old.task if old else None, step.task, now)
    export = old.export if old else None
    return StoredTask(
        task=task,
        sql_hash=rows.sql_hash(task.sql),
        updated_at=old.updated_at if old else now,
        attempts=_joined_attempts(old.attempts if old else (), step.attempt),
        export=merge.export(export, step.export) if step.export else export,
    )


def _joined_attempts(old: tuple[AttemptRecord, ...], new: AttemptRecord | None) -> tuple[AttemptRecord, ...]:
    if new is None:
        return old
    known = {item.attempt: item for item in old}
    known[new.attempt] = merge.attempt(known.get(new.attempt), new)
    return tuple(known[number] for number in sorted(known))


def _ended(task: TaskRecord, at: Moment, ending: Ending) -> Step:
    completed = ending.completed_at or at
    closed = replace(
        task,
        phase=ending.phase,
        phase_since=completed,
        reason=ending.reason,
        message=ending.message,
        completed_at=completed,
        execution_seconds=ending.execution_seconds,
        error=ending.error,
        result=ending.result,
        statistics=ending.statistics,
    )
    told = TransitionRecord(
        attempt=task.attempt,
        phase=ending.phase,
        reason=ending.reason or "",
        at=completed,
        message=ending.message,
        source=ending.source,
    )
    return Step(closed, ending.attempt, ending.export, (told,))


def _write_task(connection: sa.Connection, old: StoredTask | None, new: TaskRecord, now: Moment) -> None:
    if old is not None and old.task == new:
        return
    row = rows.of_task(new)
    if old is None or row["sql_hash"] != old.sql_hash:
        _insert_new(connection, texts, {"hash": row["sql_hash"], "sql": new.sql})
    if old is None:
        connection.execute(sa.insert(tasks).values(**row, updated_at=now))
    else:
        before = rows.of_task(old.task)
        changes = {name: value for name, value in row.items() if value != before[name]}
        if changes:
            connection.execute(sa.update(tasks).where(tasks.c.uid == new.uid).values(**changes))
    _write_result(connection, new.uid, old.task.result if old else None, new.result)


def _write_result(
    connection: sa.Connection, uid: str, old: ResultRecord | None, new: ResultRecord | None
) -> None:
    if new is not None and new != old:
        connection.execute(sa.delete(results).where(results.c.uid == uid))
        connection.execute(sa.insert(results).values(uid=uid, **rows.of_result(new)))


def _write_attempt(
    connection: sa.Connection, old: StoredTask | None, new: StoredTask, told: AttemptRecord | None
) -> bool:
    if told is None:
        return False
    before, after = old.attempt(told.attempt) if old else None, new.attempt(told.attempt)
    if after is None or after == before:
        return False
    row = rows.of_attempt(after)
    if before is None:
        connection.execute(sa.insert(attempts).values(uid=new.task.uid, **row))
    else:
        this = sa.and_(attempts.c.uid == new.task.uid, attempts.c.attempt == told.attempt)
        connection.execute(sa.update(attempts).where(this).values(**row))
    return True


def _write_export(connection: sa.Connection, old: StoredTask | None, new: StoredTask) -> bool:
    before = old.export if old else None
    if new.export is None or new.export == before:
        return False
    if before is None:
        connection.execute(sa.insert(exports).values(uid=new.task.uid, **rows.of_export(new.export)))
    else:
        _update_export(connection, new.task.uid, new.export)
    return True


def _update_export(connection: sa.Connection, uid: str, export: ExportRecord) -> None:
    connection.execute(sa.update(exports).where(exports.c.uid == uid).values(**rows.of_export(export)))


def _write_transitions(connection: sa.Connection, uid: str, told: Sequence[TransitionRecord]) -> bool:
    changed = False
    for item in told:
        changed = _insert_new(connection, transitions, {"uid": uid, **rows.of_transition(item)}) or changed
    return changed


def _insert_new(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return connection.execute(insert(table).values(**row).on_conflict_do_nothing()).rowcount > 0
