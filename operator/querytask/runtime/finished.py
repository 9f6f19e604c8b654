"""Finished tasks, which no cache holds: deletes those whose ``ttlAfterFinished`` is over, and walks over the
rest in pages.

The history's index tells when a time is over, and the reconciler checks it against the object. The walk finds
what the index cannot know: a ``ttlAfterFinished`` that was changed after the end, an object that was deleted
unseen, and a row that a lost history does not have.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

from querytask import errors, names
from querytask.adapters.cluster import PASSING_PAGE, UNFINISHED, Cluster
from querytask.adapters.store import Store, TaskKey
from querytask.api import durations
from querytask.core import clock
from querytask.runtime.cache import Key
from querytask.runtime.reconciler import Reconciler

log = logging.getLogger(__name__)
BATCH = 200
FINISHED = tuple(f"status.phase={phase}" for phase in sorted(names.TERMINAL_PHASES))


class FinishedTasks:
    """The two timers of finished tasks; ``now`` is the wall clock."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        reconciler: Reconciler,
        namespace: str,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._cluster, self._store, self._reconciler = cluster, store, reconciler
        self._namespace, self._now = namespace, now

    async def expire(self) -> int:
        """Let the tasks be looked at whose time is over; how many there were."""
        due = await self._store.ttl_due(self._now(), BATCH)
        for item in due:
            if not await self._note_deleted(item):
                self._reconciler.ask(Key(names.TASK_KIND, item.namespace, item.name))
        return len(due)

    async def walk(self) -> None:
        """Page through the finished tasks; raises ``errors.ClusterError`` or ``errors.StoreError`` when one
        could not be asked."""
        seen: set[str] = set()
        # First, so that a task that ends meanwhile is in one list or the other.
        async for page in self._cluster.list_tasks(UNFINISHED, PASSING_PAGE):
            seen.update(item["metadata"]["uid"] for item in page)
        for selector in FINISHED:
            async for page in self._cluster.list_tasks(selector, PASSING_PAGE):
                seen.update(item["metadata"]["uid"] for item in page)
                await self._page(page)
        await self._deleted_unseen(seen)

    async def _page(self, page: list[dict[str, Any]]) -> None:
        states = await self._store.states([item["metadata"]["uid"] for item in page])
        for item in page:
            if item["metadata"]["uid"] not in states or self._over(item):
                self._reconciler.ask(Key(names.TASK_KIND, self._namespace, item["metadata"]["name"]))

    def _over(self, item: dict[str, Any]) -> bool:
        ttl, completed = item["spec"].get("ttlAfterFinished"), item["status"].get("completedAt")
        if ttl is None or completed is None:
            return False
        return clock.after(clock.parse(completed), durations.seconds(ttl)) <= self._now()

    async def _deleted_unseen(self, seen: set[str]) -> None:
        """Rows whose objects no list had: each is asked for before it is noted."""
        after = ""
        while rows := await self._store.present_tasks(self._namespace, after, BATCH):
            after = rows[-1].uid
            for row in rows:
                if row.uid not in seen:
                    await self._note_deleted(row)

    async def _note_deleted(self, row: TaskKey) -> bool:
        """Note that the object of a finished task is gone, if it is; whether it is."""
        try:
            found = await self._cluster.get_task(row.name)
        except errors.NotFound:
            found = None
        if found is not None and found["metadata"]["uid"] == row.uid:
            return False
        states = await self._store.states([row.uid])
        if states and states[row.uid].completed_at is not None:
            await self._store.close_deleted(row.uid, self._now())
        return True
