"""Looks after the file of the history: checks every page of it, and copies it while it is in use.

A copy is of one moment: a read transaction is open for as long as it takes, which holds up no writer, and
lets the write-ahead log grow by what is written meanwhile. It goes in steps with pauses between them, and so
does the look at it that follows, so that disk and processor belong to the writer and to whoever asks first;
and it can be broken off.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import failures, sqlite

_SHOWN = 5
STEP_PAGES = 256
"""Pages of one step: one mebibyte."""
PAUSE_SECONDS = 0.002
"""Between two steps."""
WORK_SECONDS = 0.01
"""A check that works beside others pauses after so long, for as long as it has worked: to look at a large
copy takes a minute of one core."""
MOST_PAUSE_SECONDS = 0.1
"""But not for as long as a disk has stalled: nobody is kept waiting who stops it."""
_STEPS_OF_CHECK = 5_000
"""Steps of SQLite's machine, a millisecond or so, between two looks at whether a check is to pause, or to be
broken off."""


class Stopped(errors.StoreUnavailable):
    """The copy was broken off, because the operator ends."""

    def __init__(self) -> None:
        super().__init__("the backup was broken off: the operator ends", "Closed")


def check(connection: sa.Connection, path: Path, *, quick: bool = False) -> None:
    """Read every page, and unless ``quick`` compare indexes with tables; raises ``StoreCorrupt`` with the
    first findings."""
    what = "quick_check" if quick else "integrity_check"
    found = list(connection.exec_driver_sql(f"PRAGMA {what}({_SHOWN})").scalars())
    if not quick:
        found += [
            str(tuple(row))
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_SHOWN)
        ]
    if found != ["ok"]:
        raise errors.StoreCorrupt(f"{path} is damaged: restore it from a backup ({'; '.join(found)[:500]})")


def check_file(
    path: Path,
    busy_seconds: float = 5.0,
    stop: threading.Event | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """The same of a file that nobody writes to, such as a backup. With ``stop`` it works beside others: for
    half of the time, and raises ``Stopped`` soon after that is set."""
    engine = sqlite.reading(path, busy_seconds, 1)
    try:
        with failures.translated(path), engine.connect() as connection:
            if stop is not None:
                if stop.is_set():
                    raise Stopped
                driver = connection.connection.driver_connection
                driver.set_progress_handler(_beside(stop, pause), _STEPS_OF_CHECK)  # type: ignore[union-attr]
            check(connection, path)
    except errors.StoreError as error:
        if stop is not None and stop.is_set():
            raise Stopped from error
        raise
    finally:
        engine.dispose()


def _beside(stop: threading.Event, pause: Callable[[float], None]) -> Callable[[], bool]:
    """What a check asks again and again: whether it is to be broken off, after a pause where one is due."""
    resumed = time.monotonic()

    def ask() -> bool:
        nonlocal resumed
        worked = time.monotonic() - resumed
        if worked >= WORK_SECONDS and not stop.is_set():
            pause(min(worked, MOST_PAUSE_SECONDS))
            resumed = time.monotonic()
        return stop.is_set()

    return ask


def copy(
    source: Path,
    target: Path,
    busy_seconds: float,
    *,
    stop: threading.Event | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Copy the history at ``source`` to ``target``: of one moment, checked, durable, and under its name
    only when it is all that. Raises ``Stopped`` soon after ``stop`` is set."""
    unfinished = target.with_name(target.name + ".partial")
    unfinished.unlink(missing_ok=True)
    try:
        _copy(source, unfinished, busy_seconds, stop or threading.Event(), pause)
        os.replace(unfinished, target)
        flush(target.parent)
    except OSError as error:
        raise errors.StoreUnavailable(f"the backup {target} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(
    source: Path, target: Path, busy_seconds: float, stop: threading.Event, pause: Callable[[float], None]
) -> None:
    def step(*_: int) -> None:
        if stop.is_set():
            raise Stopped
        pause(PAUSE_SECONDS)

    readers = sqlite.reading(source, busy_seconds, 1)
    module = sqlite.driver()
    try:
        with contextlib.closing(module.connect(str(target), isolation_level=None)) as copied:
            with failures.translated(source), readers.connect() as connection, connection.begin():
                connection.exec_driver_sql("SELECT 1 FROM sqlite_schema").fetchall()  # the moment of the copy
                driver = connection.connection.driver_connection
                driver.backup(copied, pages=STEP_PAGES, progress=step)  # type: ignore[union-attr]
            copied.execute("PRAGMA journal_mode=DELETE").fetchall()
    except module.Error as error:
        raise errors.StoreUnavailable(f"the backup {target} cannot be written: {error}") from error
    finally:
        readers.dispose()
    check_file(target, busy_seconds, stop, pause)
    flush(target)


def flush(path: Path) -> None:
    """Let what is written at ``path``, a file or a directory, survive the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
