"""Looks after the file of the history: checks every page of it, and copies it while it is in use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import failures, sqlite

_SHOWN = 5


def check(connection: sa.Connection, path: Path) -> None:
    """Read every page and compare indexes with tables; raises ``StoreCorrupt`` with the first findings."""
    found = list(connection.exec_driver_sql(f"PRAGMA integrity_check({_SHOWN})").scalars())
    found += [
        str(tuple(row)) for row in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_SHOWN)
    ]
    if found != ["ok"]:
        raise errors.StoreCorrupt(f"{path} is damaged: restore it from a backup ({'; '.join(found)[:500]})")


def copy(source: Path, target: Path, busy_seconds: float) -> None:
    """Copy the history at ``source`` to ``target``: of one moment, checked, durable, and under its name
    only when it is all that."""
    unfinished = target.with_name(target.name + ".partial")
    unfinished.unlink(missing_ok=True)
    try:
        _copy(source, unfinished, busy_seconds)
        os.replace(unfinished, target)
        _flush(target.parent)
    except OSError as error:
        raise errors.StoreUnavailable(f"the backup {target} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(source: Path, target: Path, busy_seconds: float) -> None:
    readers = sqlite.reading(source, busy_seconds, 1)
    module = sqlite.driver()
    try:
        with contextlib.closing(module.connect(str(target), isolation_level=None)) as copied:
            with failures.translated(source), readers.connect() as connection:
                connection.connection.driver_connection.backup(copied)  # type: ignore[union-attr]
            copied.execute("PRAGMA journal_mode=DELETE").fetchall()
    except module.Error as error:
        raise errors.StoreUnavailable(f"the backup {target} cannot be written: {error}") from error
    finally:
        readers.dispose()
    _check_copy(target, busy_seconds)
    _flush(target)


def _check_copy(target: Path, busy_seconds: float) -> None:
    engine = sqlite.reading(target, busy_seconds, 1)
    try:
        with failures.translated(target), engine.connect() as connection:
            check(connection, target)
    finally:
        engine.dispose()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
