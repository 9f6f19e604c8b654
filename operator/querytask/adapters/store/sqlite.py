"""SQLite as the history needs it: which library, which settings, which transactions.

One writing connection and a pool of reading ones share the file. The driver begins no transaction by
itself, because what it would begin can fail in the middle when another process writes: writers say ``BEGIN
IMMEDIATE`` and wait their turn at the start, readers ``BEGIN``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from pysqlite3 import dbapi2
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from querytask import errors

LEAST_VERSION = (3, 51, 3)
"""Older ones can lose a committed transaction when a second connection resets the write-ahead log."""
FILE_NAME = "history.db"
WAL_BYTES = 64 * 2**20
"""What is left of the write-ahead log's file after a burst, in bytes."""

_LOOK_AT_CLOCK = 20_000
"""After so many steps of SQLite's machine, which take a millisecond or so, a question looks whether its time
is over."""


def driver(module: ModuleType = dbapi2) -> ModuleType:
    """The database module; raises ``StoreRefused`` when the SQLite inside is too old."""
    if module.sqlite_version_info < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise errors.StoreRefused(
            f"SQLite must be {least} or newer, not {module.sqlite_version}: older ones can lose rows"
        )
    return module


def writing(path: Path, busy_seconds: float, *, create: bool = False) -> sa.Engine:
    """The engine of the one writing connection; ``create`` makes the file where there is none."""
    engine = _engine(path, "rwc" if create else "rw", busy_seconds, sa.pool.NullPool)
    settings = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={WAL_BYTES}")
    return _prepared(engine, settings, "BEGIN IMMEDIATE")


def reading(path: Path, busy_seconds: float, connections: int) -> sa.Engine:
    """The engine of the readers, which cannot write."""
    engine = _engine(path, "rw", busy_seconds, sa.pool.QueuePool, pool_size=connections, max_overflow=0)
    return _prepared(engine, ("query_only=ON",), "BEGIN")


class _Hinting(SQLiteCompiler):
    """Writes ``INDEXED BY`` where a question asks for it: SQLite understands the hint, and the library has no
    words for it."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


@contextlib.contextmanager
def limited(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Interrupt what ``connection`` is asked within, once ``seconds`` are over."""
    until = time.monotonic() + seconds
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(lambda: time.monotonic() > until, _LOOK_AT_CLOCK)
    try:
        yield
    finally:
        driver.set_progress_handler(None, _LOOK_AT_CLOCK)


def _engine(path: Path, mode: str, busy_seconds: float, pool: type[sa.Pool], **options: Any) -> sa.Engine:
    module = driver()
    uri = f"{path.absolute().as_uri()}?mode={mode}"

    def connect() -> Any:
        return module.connect(
            uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )

    engine = sa.create_engine(
        "sqlite+pysqlite://", module=module, creator=connect, poolclass=pool, hide_parameters=True, **options
    )
    engine.dialect.statement_compiler = _Hinting
    return engine


def _prepared(engine: sa.Engine, settings: tuple[str, ...], begin: str) -> sa.Engine:
    def connected(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        try:
            for setting in settings:
                cursor.execute(f"PRAGMA {setting}").fetchall()
        finally:
            cursor.close()

    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine
