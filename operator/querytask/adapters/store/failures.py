"""Turns an error of the database library into ours, with a sentence that says what is wrong and what to do.

For ``writer`` and ``readers``: no other module of this package catches the library's errors, and no error
of it leaves the package.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import exc

from querytask import errors
from querytask.adapters.store import postgresql_failures
from querytask.adapters.store.address import Address

Where = Path | Address
"""A file of SQLite's, or a database on a PostgreSQL server."""

SCARCE_BYTES = 256 * 1024
"""With less than this free, a failed write is put down to the full volume: not every step of SQLite tells
the two apart."""

_SENTENCES = {
    "Full": "the volume of {path} is full: free space on it or enlarge it; writing then goes on by itself",
    "ReadOnly": "{path} cannot be written: make its volume writable and let the operator's user own it",
    "Locked": "{path} is locked by another process: end what holds it, such as a shell or a backup",
    "Io": "{path} cannot be read or written: look at the node's log for faults of the disk",
}


@contextlib.contextmanager
def translated(where: Where) -> Iterator[None]:
    """Raise errors of the database library as ``StoreError``s; everything else passes."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise translate(error, where) from error
    except OverflowError as error:
        raise errors.StoreError(f"{where} takes no number over 64 bits: {error}") from error


@contextlib.contextmanager
def too_slow(seconds: float) -> Iterator[None]:
    """Raise ``StoreTooSlow`` where the database was interrupted: a question has had its time."""
    try:
        yield
    except exc.OperationalError as error:
        interrupted = str(getattr(error.orig, "sqlite_errorname", "")) == "SQLITE_INTERRUPT"
        if not interrupted and getattr(error.orig, "sqlstate", None) != "57014":
            raise
        raise late(seconds) from error


def late(seconds: float) -> errors.StoreTooSlow:
    """For a question that has had its time."""
    return errors.StoreTooSlow(
        f"the history must answer within {seconds:g} s, and this pair of filter and order takes longer:"
        " order by created, or ask for less"
    )


def busy(where: Where, seconds: float) -> errors.StoreUnavailable:
    """For a question that has had no turn within its time."""
    return errors.StoreUnavailable(
        f"{where} answers other lists, and had no turn for this one within {seconds:g} s: ask again", "Busy"
    )


def translate(error: exc.SQLAlchemyError, where: Where) -> errors.StoreError:
    """Our error for ``error``, met while working on the database at ``where``."""
    return _of_file(error, where) if isinstance(where, Path) else postgresql_failures.translate(error, where)


def _of_file(error: exc.SQLAlchemyError, path: Path) -> errors.StoreError:
    cause = getattr(error, "orig", None) or error
    code = str(getattr(cause, "sqlite_errorname", ""))
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return errors.StoreCorrupt(f"{path} is damaged: restore it from a backup ({cause})")
    if isinstance(error, exc.TimeoutError):
        return errors.StoreUnavailable(f"{path} has no reader free: {cause}", "Locked")
    fault = _fault(code, path)
    if fault is None:
        return errors.StoreError(f"{path}: {cause}")
    return errors.StoreUnavailable(f"{_SENTENCES[fault].format(path=path)} ({cause})", fault)


def _fault(code: str, path: Path) -> str | None:
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "Locked"
    if code == "SQLITE_FULL":
        return "Full"
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_CANTOPEN")):
        return "Full" if _scarce(path) else "ReadOnly"
    if code.startswith(("SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_NOLFS")):
        return "Full" if _scarce(path) else "Io"
    return None


def _scarce(path: Path) -> bool:
    try:
        volume = os.statvfs(path.parent)
    except OSError:
        return False
    return volume.f_bavail * volume.f_frsize < SCARCE_BYTES


def lasting(error: BaseException) -> bool:
    """Whether the connection itself may be broken, so that it is better opened anew."""
    return not isinstance(error, errors.StoreUnavailable) or error.fault not in ("Full", "Locked", "Busy")


def is_fault(error: BaseException) -> bool:
    """Whether the database refused, and not one item: every other item of that moment would meet the same."""
    return isinstance(error, (errors.StoreUnavailable, errors.StoreCorrupt))


def closed(where: Where) -> errors.StoreUnavailable:
    """For work that comes after ``close``."""
    return errors.StoreUnavailable(f"{where} is closed", "Closed")
