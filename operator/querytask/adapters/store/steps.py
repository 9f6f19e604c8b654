"""The writes of the history, each a function of a connection that is inside a transaction. Run by
``writer``, asked for by ``history``.

What is there is read, joined in ``merge`` and written back only where it differs: a step that is told a
second time writes nothing. This is sound because a history has one writing connection, whose transactions
exclude all others from their start: by SQLite's lock on the file, by an advisory lock on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from querytask.adapters.store import merge, placing, queries, rows, word_index
from querytask.adapters.store.columns import clean, without_nul
from querytask.adapters.store.records import (
    AttemptRecord,
    Ending,
    ExportRecord,
    Moment,
    StoredTask,
    TaskRecord,
    TransitionRecord,
)
from querytask.adapters.store.schema import attempts, exports, heartbeat, results, tasks, transitions
from querytask.adapters.store.schema import queries as texts
from querytask.core.sql_text import normal_hash
from querytask.names import DELETED, Phase

# Made once: a statement costs more to build than to run. Which columns it sets follows from its values.
_OF_UID: sa.BindParameter[str] = sa.bindparam("of_uid")
_INSERT = {table: sa.insert(table) for table in (tasks, results, attempts, exports)}
_INSERT_NEW = {
    name: {
        table: insert(table).on_conflict_do_nothing().inline() for table in (texts, transitions, heartbeat)
    }
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_UPDATE_TASK = sa.update(tasks).where(tasks.c.uid == _OF_UID)
_UPDATE_RESULT = sa.update(results).where(results.c.uid == _OF_UID)
_UPDATE_EXPORT = sa.update(exports).where(exports.c.uid == _OF_UID)
_UPDATE_ATTEMPT = sa.update(attempts).where(
    attempts.c.uid == _OF_UID, attempts.c.attempt == sa.bindparam("of_attempt")
)

_WITHIN = frozenset({"task", "attempt", "export", "cancel", "error"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """What ``record`` is asked to write."""

    task: TaskRecord
    attempt: AttemptRecord | None = None
    export: ExportRecord | None = None
    transitions: Sequence[TransitionRecord] = ()


def record(connection: sa.Connection, step: Step, now: Moment) -> StoredTask:
    """Write ``step`` and return the rows as they then stand."""
    if connection.dialect.name == "postgresql":
        step = _without_nul(step)
    old = queries.task(connection, step.task.uid)
    new = _joined(old, step, now)
    if old is None:
        new = _insert_task(connection, new, now)
    changed = _write_result(connection, old, new)
    changed = _write_attempt(connection, old, new, step.attempt) or changed
    changed = _write_export(connection, old, new) or changed
    changed = _write_transitions(connection, new.task.uid, step.transitions) or changed
    if old is None or not (changed or new.task != old.task):
        return new
    return _update_task(connection, old, new, now)


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


def reopen(connection: sa.Connection, uid: str, now: Moment) -> StoredTask | None:
    """Take back that the object is gone: it was seen. An end that the row has stays; that it had none but
    ``Deleted`` was a mistake, and it goes on from the step before."""
    old = queries.task(connection, uid)
    if old is None or old.task.object_deleted_at is None:
        return old
    task = replace(old.task, object_deleted_at=None)
    if task.phase == DELETED:
        told = [step for step in queries.steps(connection, uid) if step.phase != DELETED]
        task = replace(
            task,
            phase=told[-1].phase if told else Phase.QUEUED,
            phase_since=now,
            reason=told[-1].reason if told else None,
            message="the object is there again",
            completed_at=None,
            execution_seconds=None,
        )
    return _update_task(connection, old, replace(old, task=task), now)


def mark_export(connection: sa.Connection, uid: str, state: str, at: Moment) -> None:
    """Note that the files of an export are gone."""
    if (export := queries.export(connection, uid)) is not None:
        gone = merge.removed(export, state, at)
        if gone != export:
            _update_export(connection, uid, export, gone)


def correct_expiry(connection: sa.Connection, uid: str, expires_at: Moment) -> None:
    """Let the row say when the files go."""
    if (export := queries.export(connection, uid)) is not None and export.removed_at is None:
        _update_export(connection, uid, export, replace(export, expires_at=expires_at))


def beat(connection: sa.Connection, now: Moment) -> None:
    """Overwrite the heartbeat."""
    if connection.execute(sa.update(heartbeat).values(at=now)).rowcount == 0:
        _insert_new(connection, heartbeat, {"id": 1, "at": now})


def _without_nul(record: T) -> T:
    """``record`` as PostgreSQL will hold it, so that what is told again is found to be the same. Within JSON
    a NUL stands escaped, and stays."""
    changed: dict[str, Any] = {}
    for item in fields(record):  # type: ignore[arg-type]
        value = getattr(record, item.name)
        if isinstance(value, str) and "\0" in value:
            changed[item.name] = without_nul(value)
        elif item.name in _WITHIN and is_dataclass(value):
            changed[item.name] = _without_nul(value)
        elif item.name == "transitions":
            changed[item.name] = tuple(_without_nul(told) for told in value)
    return replace(record, **changed) if changed else record  # type: ignore[type-var]


def _joined(old: StoredTask | None, step: Step, now: Moment) -> StoredTask:
    task = merge.task(old.task if old else None, step.task, now)
    export = old.export if old else None
    return StoredTask(
        task=task,
        sql_hash=rows.sql_hash(task.sql),
        normal_hash=_normal_hash(old, task),
        updated_at=old.updated_at if old else now,
        version=old.version if old else 0,
        attempts=_joined_attempts(old.attempts if old else (), step.attempt),
        export=merge.export(export, step.export) if step.export else export,
    )


def _normal_hash(old: StoredTask | None, task: TaskRecord) -> str:
    return old.normal_hash if old and old.task.sql == task.sql else normal_hash(clean(task.sql))


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


def _insert_task(connection: sa.Connection, new: StoredTask, now: Moment) -> StoredTask:
    row = rows.of_task(new.task) | {"updated_at": now}
    _insert_new(connection, texts, rows.of_text(new.task.sql))
    place = placing.next_place(connection, new.task.created_at)
    version = placing.next_version(connection, new.task.namespace)
    connection.execute(_INSERT[tasks], row | {"place": place, "version": version, "moved": version})
    word_index.fill(connection, new.task.uid, new.task.sql)
    return replace(new, version=version)


def _update_task(connection: sa.Connection, old: StoredTask, new: StoredTask, now: Moment) -> StoredTask:
    row, before = rows.of_task(new.task), rows.of_task(old.task)
    if new.sql_hash != old.sql_hash:
        _insert_new(connection, texts, rows.of_text(new.task.sql))
    changes = {name: value for name, value in row.items() if value != before[name]}
    version = placing.next_version(connection, new.task.namespace)
    if changes.keys() & {"duration", "ended"}:
        changes["moved"] = version
    placing.leave(connection, old, version, ending="moved" in changes)
    connection.execute(
        _UPDATE_TASK, changes | {"version": version, "updated_at": now, "of_uid": new.task.uid}
    )
    if new.sql_hash != old.sql_hash:
        word_index.fill(connection, new.task.uid, new.task.sql)
    return replace(new, updated_at=now, version=version)


def _write_result(connection: sa.Connection, old: StoredTask | None, new: StoredTask) -> bool:
    before = old.task.result if old else None
    if new.task.result is None or new.task.result == before:
        return False
    row = rows.of_result(new.task.result)
    if before is None:
        connection.execute(_INSERT[results], row | {"uid": new.task.uid})
    else:
        connection.execute(_UPDATE_RESULT, row | {"of_uid": new.task.uid})
    return True


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
        connection.execute(_INSERT[attempts], row | {"uid": new.task.uid})
    else:
        connection.execute(_UPDATE_ATTEMPT, row | {"of_uid": new.task.uid, "of_attempt": told.attempt})
    return True


def _write_export(connection: sa.Connection, old: StoredTask | None, new: StoredTask) -> bool:
    before = old.export if old else None
    if new.export is None or new.export == before:
        return False
    if before is None:
        connection.execute(_INSERT[exports], rows.of_export(new.export) | {"uid": new.task.uid})
        connection.execute(_UPDATE_TASK, {"export_status": new.export.state, "of_uid": new.task.uid})
    else:
        _update_export(connection, new.task.uid, before, new.export)
    return True


def _update_export(connection: sa.Connection, uid: str, before: ExportRecord, export: ExportRecord) -> None:
    connection.execute(_UPDATE_EXPORT, rows.of_export(export) | {"of_uid": uid})
    if export.state != before.state:
        connection.execute(_UPDATE_TASK, {"export_status": export.state, "of_uid": uid})


def _write_transitions(connection: sa.Connection, uid: str, told: Sequence[TransitionRecord]) -> bool:
    changed = False
    for item in told:
        changed = _insert_new(connection, transitions, rows.of_transition(item) | {"uid": uid}) or changed
    return changed


def _insert_new(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
    return connection.execute(_INSERT_NEW[connection.dialect.name][table], row).rowcount > 0
