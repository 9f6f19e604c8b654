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

from querytask import errors
from querytask.adapters.store import Store, moving, open_history
from querytask.adapters.store.sqlite import FILE_NAME

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks for the file, and for another one in its place."""


class History:
    """The history in ``directory``; ``keep`` opens it."""

    def __init__(
        self, directory: Path, store: Store | None = None, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._path = directory / FILE_NAME
        self._store, self._look_seconds = store, look_seconds
        self._seen: tuple[int, int] | None = None
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
        """Let go of the file; safe to repeat."""
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def _look(self) -> None:
        # Asked of the directory: to open the file and close it would cost this process its locks on it.
        if moving(self._path.parent):
            if self._store is not None:
                log.warning("The history is about to be replaced: it is closed")
                await self.close()
            return
        identity = _identity(self._path)
        if self._store is not None and identity not in (None, self._seen):
            log.warning("Another file is in the history's place: it is opened")
            await self.close()
        if self._store is None and identity is not None:
            await self._open(identity)

    async def _open(self, identity: tuple[int, int]) -> None:
        try:
            self._store = await open_history(self._path.parent, migrating=False)
        except (errors.StoreUnavailable, errors.StoreCorrupt) as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning("Waiting for the history: %s", error)
            return
        self._seen, self._told = identity, ""
        log.info("The history is open")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
