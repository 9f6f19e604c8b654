"""The history as the API has it: opened when the operator has made it, opened again when the operator has put
another file in its place, and ``StoreUnavailable`` in between.

The operator alone migrates and restores. So this process starts without a history if need be, and says 503
until there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Protocol

from querytask import errors
from querytask.adapters.store import Store, moving, open_database, open_history
from querytask.adapters.store.sqlite import FILE_NAME

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks for the history, and for another one in its place."""

Identity = tuple[int, int]


class Place(Protocol):
    """Where the history is to be found."""

    def leaving(self) -> bool:
        """Whether it is about to be replaced: nobody may have it open then."""

    def identity(self) -> Identity | None:
        """What is there now, to tell it from another one; ``None`` while there is nothing."""

    async def open(self) -> Store:
        """It, as the operator has made it; raises as ``open_history`` does."""


class _File:
    """A file in ``directory``, which the operator may put another one in the place of."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._path = directory, directory / FILE_NAME

    def leaving(self) -> bool:
        # Asked of the directory: to open the file and close it would cost this process its locks on it.
        return moving(self._directory)

    def identity(self) -> Identity | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    async def open(self) -> Store:
        return await open_history(self._directory, migrating=False)


class _Database:
    """A database, in whose place nobody puts another one; its connections come back by themselves."""

    def __init__(self, url: str) -> None:
        self._url = url

    def leaving(self) -> bool:
        return False

    def identity(self) -> Identity | None:
        return 0, 0

    async def open(self) -> Store:
        return await open_database(self._url, migrating=False)


def place(directory: Path, url: str) -> Place:
    """The database at ``url``, or the file in ``directory`` where there is none."""
    return _Database(url) if url else _File(directory)


class History:
    """The history in ``directory``, or in the database at ``url``; ``keep`` opens it."""

    def __init__(
        self,
        directory: Path,
        store: Store | None = None,
        *,
        url: str = "",
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._place = place(directory, url)
        self._store, self._look_seconds = store, look_seconds
        self._seen: Identity | None = None
        self._told = ""

    @property
    def store(self) -> Store:
        """The open store; raises ``errors.StoreUnavailable`` while there is none."""
        if self._store is None:
            raise errors.StoreUnavailable("the history is not open yet", "Outdated")
        return self._store

    async def keep(self, stopping: asyncio.Event) -> None:
        """See that the history is open, until ``stopping``; what is then under way may still use it."""
        while not stopping.is_set():
            await self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._look_seconds)

    async def close(self) -> None:
        """Let go of it; safe to repeat."""
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def _look(self) -> None:
        if self._place.leaving():
            if self._store is not None:
                log.warning("The history is about to be replaced: it is closed")
                await self.close()
            return
        identity = self._place.identity()
        if self._store is not None and identity not in (None, self._seen):
            log.warning("Another file is in the history's place: it is opened")
            await self.close()
        if self._store is None and identity is not None:
            await self._open(identity)

    async def _open(self, identity: Identity) -> None:
        try:
            self._store = await self._place.open()
        except (errors.StoreUnavailable, errors.StoreCorrupt) as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning("Waiting for the history: %s", error)
            return
        self._seen, self._told = identity, ""
        log.info("The history is open")
