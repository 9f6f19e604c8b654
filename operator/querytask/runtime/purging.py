"""Forgets finished tasks once their time in the history is over: first what is left of their files, then the
row. A timer of the operator.

What is forgotten cannot be told again, so three are asked before: the history, for rows whose period is
over; the cluster, whether one of these objects lives after all, as after a restored etcd; the exports
volume, whether a manifest there promises a result for longer than the row says. The store asks its part once
more in the transaction that deletes. A crash between any two steps leaves a row that comes up again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Container
from typing import Protocol

from querytask import errors
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import Store
from querytask.core import retention
from querytask.core.collection_facts import Moment
from querytask.core.retention import KeptTask

log = logging.getLogger(__name__)

PAGE = 500
"""How many rows are looked at at a time."""
PAUSE_SECONDS = 0.02
"""Between two calls that delete, at least, and never shorter than the call: a writer in another process, such
as the API's, polls for its turn, and would not get one between calls that follow each other at once."""


class Counters(Protocol):
    """The metrics of the purger."""

    def purged(self, tasks: int) -> None:
        """The history has forgotten that many tasks."""

    def removal_failed(self) -> None:
        """What is left of a task's files could not be removed."""


class Purger:
    """Purges. ``living_tasks`` answers with the tasks of the cluster by uid, ``None`` when it could not be
    asked; ``kept`` is the period for which a finished task is kept, and ``unreadable`` that of files whose
    manifest cannot be read."""

    def __init__(
        self,
        store: Store,
        volume: ExportsVolume,
        *,
        living_tasks: Callable[[], Awaitable[Container[str] | None]],
        clock: Callable[[], Moment],
        kept: dt.timedelta,
        unreadable: dt.timedelta,
        metrics: Counters,
        page: int = PAGE,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store, self._volume, self._living_tasks = store, volume, living_tasks
        self._clock, self._kept, self._unreadable = clock, kept, unreadable
        self._metrics, self._page, self._pause = metrics, page, pause

    async def run_once(self) -> int:
        """Forget what is due; how many tasks that were.

        Raises ``StoreError`` when the history could not be asked. Files that could not be removed keep their
        row, and both come up again at the next run.
        """
        now, last, gone = self._clock(), None, 0
        living: Container[str] | None = None
        while found := await self._store.kept_since(now - self._kept, last, self._page):
            last = found[-1]
            due = [task for task in found if retention.over(task, now, self._kept)]
            if due and living is None:
                # Asked after rows were found: an object that is made later has a row of its own.
                living = await self._living_tasks()
                if living is None:
                    log.warning("Nothing is purged now: the API server did not say which tasks there are")
                    return gone
            if living is not None:
                gone += await self._forget([task for task in due if task.uid not in living], now)
        return gone

    async def _forget(self, due: list[KeptTask], now: Moment) -> int:
        cleared = {task.uid: task for task in due if await self._cleared(task, now)}
        left, gone = tuple(cleared), 0
        while left:
            purged = await self._store.purge(left, now, self._kept)
            for uid in purged.gone:
                self._say(cleared[uid])
            self._metrics.purged(len(purged.gone))
            gone, left = gone + len(purged.gone), purged.left
            await self._pause(max(PAUSE_SECONDS, purged.seconds))
        return gone

    async def _cleared(self, task: KeptTask, now: Moment) -> bool:
        """Remove what is left of the task's files; whether nothing of them is there any more."""
        try:
            directory = await self._volume.directory(task.namespace, task.uid)
            if directory is None:
                return True
            until = retention.files_kept_until(directory, task.expires_at, self._unreadable)
            if until is not None and until > now:
                await self._store.correct_expiry(task.uid, until)
                return False
            await self._volume.remove_task(task.namespace, task.uid)
        except errors.ExportsVolumeError as error:
            self._metrics.removal_failed()
            log.warning("Task %s stays in the history until its files are gone: %s", task.uid, error)
            return False
        return True

    def _say(self, task: KeptTask) -> None:
        owner = f"owner {task.owner}" if task.owner else "no owner"
        why = retention.reason(task, self._kept)
        log.info("Purged %s/%s (%s, %s): %s", task.namespace, task.name, task.uid, owner, why)
