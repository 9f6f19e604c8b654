"""Lets every other process close the database before it is replaced, and keeps it closed meanwhile.

For ``restore``. A file that is renamed while it is open stays open under its new name; whoever then closes
the last connection to it removes the write-ahead log beside its old name, which by then is that of the new
file. So the others are asked first, by a file beside the database: the API's process looks for it
(``moving``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from querytask import errors
from querytask.adapters.store import sqlite

MOVING = f"{sqlite.FILE_NAME}.moving"
"""While it is there every other process has to let go of the database, for it is about to be replaced."""
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""Where SQLite's shared locks lie in the file: part of its file format."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long other processes are given to let go of a database that is to be replaced."""

    settle_seconds: float = 0.5
    wait_seconds: float = 15.0


PATIENCE = Patience()
"""What the operator gives them."""


def moving(directory: Path) -> bool:
    """Whether the database is about to be replaced: whoever has it open beside the operator must close it."""
    return (directory / MOVING).exists()


@contextlib.contextmanager
def unused(path: Path, patience: Patience) -> Iterator[None]:
    """See that no other process has the database open, and keep it so meanwhile; raises ``StoreUnavailable``
    when one does not let go.

    Every connection holds a shared lock on the bytes where SQLite has its locks; this one is exclusive. To be
    called when this process has no connection open: closing the file drops its own locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield
        return
    marker = path.with_name(MOVING)
    try:
        marker.touch()
        time.sleep(patience.settle_seconds)  # whoever did not see it yet has the file open after that
        _lock(descriptor, path, time.monotonic() + patience.wait_seconds)
        yield
    finally:
        marker.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
            return
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() >= until:
                raise errors.StoreUnavailable(
                    f"{path} has to be replaced, but another process has it open: end what holds it,"
                    " such as a shell, or delete the operator's pod",
                    "Locked",
                ) from error
        time.sleep(0.05)
