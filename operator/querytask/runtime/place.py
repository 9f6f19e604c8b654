"""Where the history is kept: in a directory of this pod, or in a database elsewhere; and what goes with it.

For the composition root. A directory is looked at, mended and backed up by the operator itself. A database
has tools of its own for all of that; but it can be away for a while, and then it forgets who holds the lock.
While it is away the operator goes on with what needs no history, as with a volume that is full.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from querytask import errors
from querytask.adapters.store import (
    Backups,
    DatabaseLock,
    HistoryLock,
    Prepared,
    Store,
    open_database,
    open_history,
    prepare_history,
    shown,
)
from querytask.runtime import keeping
from querytask.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at a database that is away, or at a lock on it."""

NOT_OPEN = "the history is not open yet"

Tell = Callable[[str], object]
"""Takes what is waited for; empty when nothing is any more."""


class Place(Protocol):
    """One of the two."""

    directory: Path | None
    """Whose volume is measured, where it is a directory."""
    backups: Backups | None
    """Where the operator makes backups."""
    prepared: Prepared | None
    """What ``open`` has found, where it looks."""

    async def hold(self) -> None:
        """Come back when this operator, and no other, may write here."""

    async def open(self) -> Store:
        """The history; raises as ``open_history`` and ``open_database`` do, but waits for what passes."""

    async def keep(self) -> None:
        """Take the lock again whenever it is lost, for ever; meanwhile the store writes nothing."""

    async def close(self) -> None:
        """Let the next operator have it; safe to repeat."""


def of(settings: Settings, now: Callable[[], dt.datetime], tell: Tell) -> Place:
    """The place that the settings name; ``tell`` is told what is waited for."""
    if settings.history_url:
        return Database(settings.history_url, settings.pod_name, tell)
    return Directory(Path(settings.history_dir), settings.pod_name, now, tell)


class Directory:
    """A directory, whose lock is the kernel's: who has it keeps it."""

    def __init__(self, directory: Path, holder: str, now: Callable[[], dt.datetime], tell: Tell) -> None:
        self._path, self._now, self._tell = directory, now, tell
        self._lock = HistoryLock(directory, holder)
        self.directory: Path | None = directory
        self.backups: Backups | None = Backups(directory)
        self.prepared: Prepared | None = None

    async def hold(self) -> None:
        """A directory that cannot be written at all is no reason to wait: ``StoreUnavailable``."""
        if not self._lock.acquire():
            why = f"another operator has the history volume: {self._lock.holder()}"
            log.warning("Waiting: %s", why)
            self._tell(why)
            await self._lock.wait()
            self._tell(NOT_OPEN)

    async def open(self) -> Store:
        """Mended before, if need be."""
        self.prepared = await prepare_history(self._path, self._now)
        keeping.say(self.prepared)
        store = await open_history(self._path)
        self._tell("")
        return store

    async def keep(self) -> None:
        """Nothing to do, for ever."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """The lock alone: the store has let go of the file."""
        self._lock.release()


class Database:
    """A PostgreSQL database, whose lock lasts as long as one session does."""

    def __init__(self, url: str, holder: str, tell: Tell, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._url, self._tell, self._look_seconds = url, tell, look_seconds
        self._lock = DatabaseLock(url, holder)
        self._said = ""
        self.directory: Path | None = None
        self.backups: Backups | None = None
        self.prepared: Prepared | None = None

    async def hold(self) -> None:
        """While the server is away, too; raises ``StoreRefused`` for what does not pass."""
        await self._acquire()
        self._tell(NOT_OPEN)

    async def open(self) -> Store:
        """Raises ``StoreRefused`` and ``StoreSchemaTooNew``: these do not pass."""
        while True:
            try:
                store = await open_database(self._url, holding=lambda: self._lock.held)
            except errors.StoreUnavailable as error:
                self._wait_for(str(error))
                await asyncio.sleep(self._look_seconds)
                continue
            log.info("The history is in %s", shown(self._url))
            self._wait_for("")
            return store

    async def keep(self) -> None:
        """A server that was away, or an administrator who ended the session, has freed the lock; whoever has
        taken it meanwhile is waited for."""
        while True:
            await self._lock.lost(self._look_seconds)
            log.warning("The lock on the history is lost: nothing is written until it is held again")
            await self._acquire()
            log.info("The lock on the history is held again")
            self._wait_for("")

    async def close(self) -> None:
        """The lock alone: the store has let go of its connections."""
        await asyncio.to_thread(self._lock.release)

    async def _acquire(self) -> None:
        while why := await self._blocker():
            self._wait_for(why)
            await asyncio.sleep(self._look_seconds)

    async def _blocker(self) -> str:
        """Why we do not have the lock; empty when we do."""
        try:
            if await asyncio.to_thread(self._lock.acquire):
                return ""
            holder = await asyncio.to_thread(self._lock.holder)
        except errors.StoreUnavailable as error:
            return str(error)
        return f"another operator has the history in {shown(self._url)}: {holder}"

    def _wait_for(self, why: str) -> None:
        if why and why != self._said:
            log.warning("Waiting: %s", why)
        self._said = why
        self._tell(why)
