"""The backups of a history: a directory beside it, each file of one moment and checked before it has its
name, the newest so many of them kept.

For the timer that makes them, for the start that may need one, and for the command line. They lie on the
history's own volume: they help against a damaged file and against a mistake, not against the loss of the
volume, for which they are to be copied elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from querytask import errors
from querytask.adapters.store import backup, sqlite
from querytask.adapters.store.records import Moment

DIRECTORY = "backups"
LEAST_ROOM = 1024 * 1024
"""Bytes that a backup leaves free on the volume, at least: the history itself goes on there."""
BUSY_SECONDS = 5.0

_NAME = re.compile(r"history-(\d{8}T\d{6}Z)\.db")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that was whole when it was made."""

    path: Path
    at: Moment
    bytes: int


def stamp(at: Moment) -> str:
    """A time, as it stands in the names of files."""
    return at.astimezone(dt.UTC).strftime(_TIME)


def listed(history: Path) -> list[Backup]:
    """The backups beside the history in the directory ``history``, the newest first."""
    found = []
    try:
        for entry in os.scandir(history / DIRECTORY):
            named = _NAME.fullmatch(entry.name)
            if named and entry.is_file(follow_symlinks=False):
                at = dt.datetime.strptime(named[1], _TIME).replace(tzinfo=dt.UTC)
                found.append(Backup(Path(entry.path), at, entry.stat().st_size))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.StoreUnavailable(
            f"the backups in {history} cannot be listed: {error.strerror}"
        ) from error
    return sorted(found, key=lambda item: item.at, reverse=True)


class Backups:
    """Makes and keeps the backups of the history in ``directory``."""

    def __init__(self, directory: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._directory, self._busy_seconds = directory, busy_seconds
        self._stop = threading.Event()

    async def newest(self) -> Backup | None:
        """The newest one; ``None`` where there is none."""
        return next(iter(await asyncio.to_thread(listed, self._directory)), None)

    async def make(self, at: Moment, kept: int) -> Backup:
        """Make one, check it, and remove all but the newest ``kept``.

        Raises ``StoreUnavailable`` when there is no room for it or it cannot be written, ``StoreCorrupt``
        when what was copied is damaged; then all that were there still are, but for older ones that had to
        make room.
        """
        return await asyncio.to_thread(self.make_now, at, kept)

    def make_now(self, at: Moment, kept: int) -> Backup:
        """``make``, on this thread."""
        folder, source = self._directory / DIRECTORY, self._directory / sqlite.FILE_NAME
        target = folder / f"history-{stamp(at)}.db"
        try:
            folder.mkdir(mode=0o770, exist_ok=True)
            with _alone(folder):
                for left in folder.glob("*.partial*"):
                    left.unlink(missing_ok=True)
                self._redate(at)
                self._make_room(source, target)
                backup.copy(source, target, self._busy_seconds, stop=self._stop)
                for old in listed(self._directory)[max(1, kept) :]:
                    old.path.unlink(missing_ok=True)
                return Backup(target, at, target.stat().st_size)
        except OSError as error:
            raise errors.StoreUnavailable(
                f"the backup {target} cannot be written: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Break off what is under way."""
        self._stop.set()

    def _redate(self, at: Moment) -> None:
        """Give the backups of a clock that was ahead times before ``at``, in their order: else they would
        pass for the newest until then, and every new one would go at once in their place."""
        earlier = at
        for item in listed(self._directory):
            if item.at <= at:
                break
            earlier -= dt.timedelta(seconds=1)
            while (path := item.path.with_name(f"history-{stamp(earlier)}.db")).exists():
                earlier -= dt.timedelta(seconds=1)
            item.path.rename(path)

    def _make_room(self, source: Path, target: Path) -> None:
        """See that the volume has room for a copy, and remove older backups, but never the last, where it
        has not."""
        bytes_needed, free = needed(source), free_bytes(self._directory)
        older = listed(self._directory)[1:]
        if free + sum(item.bytes for item in older) < bytes_needed:
            raise errors.StoreUnavailable(
                f"the backup {target} needs {bytes_needed} bytes free on its volume, which has {free}:"
                " enlarge the volume, or keep fewer backups",
                "Full",
            )
        while older and free_bytes(self._directory) < bytes_needed:
            older.pop().path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One backup at a time, whichever process makes it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise errors.StoreUnavailable(f"another backup is being made in {folder}", "Locked") from None
    try:
        yield
    finally:
        os.close(descriptor)


def needed(source: Path) -> int:
    """The bytes that a copy of ``source`` needs on its volume, with what is to stay free."""
    log = source.with_name(source.name + "-wal")
    size = source.stat().st_size + (log.stat().st_size if log.exists() else 0)
    return size + max(LEAST_ROOM, size // 10)


def free_bytes(directory: Path) -> int:
    """What is free on the volume of ``directory``."""
    volume = os.statvfs(directory)
    return volume.f_bavail * volume.f_frsize
