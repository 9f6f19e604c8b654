"""The full resync: lists what is unfinished, replaces the caches and lets every key be looked at. Whatever an
event has failed to tell is found here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from querytask import errors
from querytask.adapters.cluster import UNFINISHED, Cluster
from querytask.adapters.store import Store
from querytask.metrics import Metrics
from querytask.runtime.cache import Cache, Key
from querytask.runtime.reconciler import Reconciler
from querytask.runtime.slots import Slots

log = logging.getLogger(__name__)


class Resync:
    """One full list at a time; ``unix_time`` is the wall clock in seconds."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        cache: Cache,
        reconciler: Reconciler,
        slots: Slots,
        metrics: Metrics,
        namespace: str,
        enqueue: Callable[[Key], None],
        unix_time: Callable[[], float],
    ) -> None:
        self._cluster, self._store, self._cache, self._reconciler = cluster, store, cache, reconciler
        self._slots, self._metrics, self._namespace = slots, metrics, namespace
        self._enqueue, self._unix_time = enqueue, unix_time
        self.failure = "it has not been tried yet"
        """Why the last resync failed; empty when it did not."""

    async def run_once(self) -> bool:
        """List, replace and enqueue; false, with ``failure`` set, when the API server could not be asked:
        then nothing is replaced."""
        try:
            tasks = await _all(self._cluster.list_tasks(UNFINISHED))
            pods = await _all(self._cluster.list_pods())
            sources = await _all(self._cluster.list_sources())
            claims = await _all(self._cluster.list_claims())
        except errors.ClusterError as error:
            self.failure = f"the API server did not answer: {error}"
            log.warning("The resync has failed: %s", error)
            return False
        before = set(self._cache.tasks)
        keys = self._cache.replace(tasks=tasks, pods=pods, sources=sources, claims=claims)
        vanished = {
            self._cache.task_key(name) for name in before - set(self._cache.tasks)
        } | await self._open_rows()
        for key in keys - vanished:
            self._enqueue(key)
        for key in vanished:
            self._reconciler.ask(key)
        self._release_strays()
        self.failure = ""
        self._metrics.resynced(self._unix_time())
        return True

    async def _open_rows(self) -> set[Key]:
        """Tasks that the history holds as unfinished and the list did not have: finished, or deleted, while
        nobody looked."""
        try:
            rows = await self._store.open_tasks(self._namespace)
        except errors.StoreError as error:
            log.warning("The history cannot be read: %s", error)
            return set()
        known = {task["metadata"]["uid"] for task in self._cache.tasks.values()}
        return {self._cache.task_key(row.name) for row in rows if row.uid not in known}

    def _release_strays(self) -> None:
        """A slot whose task is neither unfinished nor has a pod is held by nobody."""
        alive = {task["metadata"]["uid"] for task in self._cache.tasks.values()} | set(
            self._cache.pod_owners()
        )
        for uid in [uid for uid in self._reconciler.line if uid not in alive]:
            del self._reconciler.line[uid]
            self._slots.release(uid)


async def _all(pages: AsyncIterator[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [item async for page in pages for item in page]
