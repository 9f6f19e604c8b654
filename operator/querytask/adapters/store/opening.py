"""Opens a history, wherever it is, and brings it to this release's schema. For the composition roots;
everybody else is given the ``Store``."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import failures, filesystem, migrate, postgresql, sqlite
from querytask.adapters.store.address import Address
from querytask.adapters.store.database import Database, PostgresqlDatabase, SqliteDatabase
from querytask.adapters.store.history import SEARCH_SECONDS, History, utc_now
from querytask.adapters.store.interface import Store
from querytask.adapters.store.records import Moment

BUSY_SECONDS = 5.0
"""How long a writer waits for another process that holds the database before it says ``Locked``."""
MIGRATING_SECONDS = 300.0
"""How long a start waits for another one that brings the schema of the same database forward."""


async def open_history(
    directory: Path,
    clock: Callable[[], Moment] = utc_now,
    *,
    migrating: bool = True,
    busy_seconds: float = BUSY_SECONDS,
    search_seconds: float = SEARCH_SECONDS,
) -> Store:
    """Open the history in ``directory``, make it where there is none, and bring it to this release's schema.

    A process beside the operator passes ``migrating=False``: it finds the schema as it should be or is
    refused. A list that takes longer than ``search_seconds`` raises ``StoreTooSlow``.

    Raises ``StoreRefused`` for a network file system or an SQLite that is too old, ``StoreSchemaTooNew``,
    ``StoreCorrupt``, and ``StoreUnavailable`` when the directory or the file cannot be read and written.
    """
    path = directory / sqlite.FILE_NAME

    def open_it() -> History:
        filesystem.check_local(directory)
        if migrating:
            _create(path)
        database = SqliteDatabase(path, busy_seconds)
        # A process beside the operator only looks: it must not need the turn of one that hangs in a write.
        engine = database.writing() if migrating else database.reading(1)
        _prepare(database, engine, migrating=migrating)
        return History(database, clock, search_seconds, migrating=migrating)

    return await asyncio.to_thread(open_it)


async def open_database(
    url: str,
    clock: Callable[[], Moment] = utc_now,
    *,
    migrating: bool = True,
    holding: Callable[[], bool] = lambda: True,
    busy_seconds: float = BUSY_SECONDS,
    search_seconds: float = SEARCH_SECONDS,
) -> Store:
    """Open the history in the PostgreSQL database at ``url``, as ``open_history`` does one in a directory.

    ``url`` is ``postgresql://user:password@host:port/database?…``, as libpq takes it; the database must be
    there. The operator passes ``migrating``, and may make tables in it; the API's process does not. While
    ``holding`` says that its lock is lost, nothing is written: ``Away``.

    Raises ``StoreRefused`` (no such URL, not PostgreSQL 13 or newer, an encoding other than UTF8),
    ``StoreSchemaTooNew``, and ``StoreUnavailable``, with the fault ``Away`` while the server is not to be
    reached or refuses the login: that passes by itself.
    """
    name, key = (
        (postgresql.OPERATOR, postgresql.Key.HISTORY) if migrating else (postgresql.API, postgresql.Key.API)
    )

    def open_it() -> History:
        address = Address(url)
        database = PostgresqlDatabase(address, busy_seconds, name, key, holding)
        patient = postgresql.writing(address, MIGRATING_SECONDS, name)
        _prepare(database, patient if migrating else database.reading(1), migrating=migrating)
        return History(database, clock, search_seconds, migrating=migrating)

    return await asyncio.to_thread(open_it)


def _prepare(database: Database, engine: sa.Engine, *, migrating: bool) -> None:
    prepare = migrate.migrate if migrating else migrate.check_current
    try:
        with failures.translated(database.where), engine.connect() as connection, connection.begin():
            prepare(connection)
    finally:
        engine.dispose()


def _create(path: Path) -> None:
    # Only where there is none: a process that closes any descriptor of a database loses SQLite's locks on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o660))
    except FileExistsError:
        pass
    except OSError as error:
        fault = "Full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "ReadOnly"
        raise errors.StoreUnavailable(f"{path} must be writable: {error.strerror}", fault) from error
