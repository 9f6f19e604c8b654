"""The history as the reconciler uses it: what a task has come to is written before anything else is done
about it, each step once, and what was written is not read back.

Between the reconciler and the store. That it remembers is sound because one process alone writes the rows of
tasks; whatever could make it wrong, a write that failed or a row that was closed for another reason, lets it
ask the store again.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from querytask import errors
from querytask.adapters.store import Store
from querytask.core.observed import Memory
from querytask.metrics import Metrics
from querytask.runtime import recording
from querytask.runtime.recording import Step

log = logging.getLogger(__name__)


class Ended(errors.QueryTaskError):
    """The history has another end of the task already, and keeps it."""


class Journal:
    """Remembers the tasks that are not finished; ``now`` is the wall clock."""

    def __init__(self, store: Store, metrics: Metrics, now: Callable[[], dt.datetime]) -> None:
        self._store, self._metrics, self._now = store, metrics, now
        self._last: dict[str, Step] = {}
        self._memory: dict[str, Memory] = {}

    async def memory(self, uid: str) -> Memory | None:
        """What the history remembers of a task; ``None`` when it cannot be read."""
        if (known := self._memory.get(uid)) is not None:
            return known
        try:
            return recording.memory(await self._store.get(uid))
        except errors.StoreError as error:
            log.warning("The history cannot be read: %s", error)
            return None

    async def find_open(self, namespace: str, name: str) -> list[str]:
        """The uids of the tasks of a name whose rows have no end; raises ``errors.StoreError``."""
        return await self._store.find_open(namespace, name)

    async def record(self, step: Step) -> bool:
        """Write ``step``, unless it says nothing new; false when the history does not take it. Raises
        ``Ended``."""
        uid = step.task.uid
        last = self._last.get(uid)
        if last is not None and step.says_nothing_after(last):
            return True
        self.forget(uid)
        try:
            stored = await self._store.record(
                step.task, step.attempt, step.export, step.transitions(self._now())
            )
        except errors.StoreError as error:
            self._metrics.history_failed("record")
            log.warning("The history cannot be written: %s", error)
            return False
        if stored.finished and stored.task.phase != step.task.phase:
            raise Ended(f"the history has the task as {stored.task.phase} already")
        self._last[uid], self._memory[uid] = step, recording.memory(stored)
        return True

    async def object_deleted(self, uid: str) -> None:
        """Note that the object of a finished task is gone; what fails here the walk over these tasks makes
        good."""
        self.forget(uid)
        try:
            await self._store.close_deleted(uid, self._now())
        except errors.StoreError as error:
            log.warning("The history cannot be written: %s", error)

    async def object_returned(self, uid: str) -> Memory | None:
        """Note that the object is there after all, and what is remembered then; ``None`` when the history
        does not take it."""
        self.forget(uid)
        try:
            return recording.memory(await self._store.reopen(uid, self._now()))
        except errors.StoreError as error:
            self._metrics.history_failed("record")
            log.warning("The history cannot be written: %s", error)
            return None

    def forget(self, uid: str) -> None:
        """Ask the store when the task is looked at again."""
        self._last.pop(uid, None)
        self._memory.pop(uid, None)
