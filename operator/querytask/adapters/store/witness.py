"""Remembers, beside the database, how many steps it has held, so that a start can tell that some are missing.

For ``history``, which notes it at each sign of life, and ``restore``, which asks at the start. A database
whose write-ahead log was lost is whole, and only older: nothing in it says so. The number is that of the
last transition, which never falls, and it is noted after the commit: it may lag behind the truth, never be
ahead of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import sqlalchemy as sa

from querytask.adapters.store import sqlite

FILE_NAME = f"{sqlite.FILE_NAME}.seen"
_COUNTED = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'"
_STEPS = "SELECT seq FROM sqlite_sequence WHERE name = 'transitions'"


def steps(connection: sa.Connection) -> int:
    """The number of the last transition that the database was given; 0 before the first."""
    if not connection.exec_driver_sql(_COUNTED).scalar_one():
        return 0
    return int(connection.exec_driver_sql(_STEPS).scalar() or 0)


def read(directory: Path) -> int:
    """What was noted last; 0 where nothing was, or it cannot be read: then nothing is missed."""
    try:
        return int(json.loads((directory / FILE_NAME).read_bytes()[:1024])["steps"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0


def write(directory: Path, number: int) -> None:
    """Note it; a volume that does not take it keeps the older note."""
    path = directory / FILE_NAME
    unfinished = path.with_name(path.name + ".partial")
    try:
        unfinished.write_text(json.dumps({"steps": number}))
        os.replace(unfinished, path)
    except OSError:
        pass


def forget(directory: Path) -> None:
    """The database is another one from now on."""
    (directory / FILE_NAME).unlink(missing_ok=True)
