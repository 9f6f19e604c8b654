"""The one ``reconcile``: whatever triggered it, it looks at the object of a key, decides and acts. A trigger
carries no other information.

For the workers of the work queue. A lost, doubled or reordered event changes nothing, because nothing is
taken from events but the name.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import math
from collections.abc import Callable
from typing import Any

from querytask import errors, logs, names
from querytask.adapters.cluster import Cluster
from querytask.api import parse
from querytask.api.task import QueryTask
from querytask.core import merge, sourcing
from querytask.core.decide import decide
from querytask.core.observed import Memory, Observed, Refusal
from querytask.core.plan import Plan, SlotUse
from querytask.runtime.applier import Applier, Stale
from querytask.runtime.cache import Cache, Key
from querytask.runtime.closing import Closer
from querytask.runtime.journal import Journal
from querytask.runtime.observer import Observer
from querytask.runtime.slots import Rank, Slots
from querytask.settings import Settings

log = logging.getLogger(__name__)

STEPS = 4
"""The most plans that one call carries out: a task that has just finished is taken care of at once, not after
another trip through the queue."""
RETRY_HISTORY = 5.0
"""Seconds until a step that the history did not take is tried again."""


class Reconciler:
    """Reconciles tasks and sources of one namespace; ``now`` is the wall clock, ``enqueue`` asks for a key to
    be looked at."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        cache: Cache,
        slots: Slots,
        observer: Observer,
        applier: Applier,
        closer: Closer,
        settings: Settings,
        enqueue: Callable[[Key], None],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._cluster, self._journal, self._cache, self._slots = cluster, journal, cache, slots
        self._observer, self._applier, self._closer = observer, applier, closer
        self._settings, self._enqueue, self._now = settings, enqueue, now
        self._refusals: dict[str, Refusal] = {}
        self._ask: set[Key] = set()
        self.line: dict[str, Key] = {}
        """The keys of the tasks that hold or want a slot, by uid."""

    def ask(self, key: Key, *, enqueue: bool = True) -> None:
        """The next reconcile of ``key`` is to ask the API server for it, whatever the cache knows."""
        self._ask.add(key)
        if enqueue:
            self._enqueue(key)

    def granted(self, uid: str) -> None:
        """A task in the line has got a slot."""
        if uid in self.line:
            self._enqueue(self.line[uid])

    async def reconcile(self, key: Key) -> float | None:
        """Bring the object of ``key`` one step on; seconds until it is to be looked at again, ``None`` for
        not before it changes.

        Raises ``errors.QueryTaskError`` when something could not be asked or written; then the key is to come
        back.
        """
        if key.kind == names.SOURCE_KIND:
            await self._source(key)
            return None
        with logs.bound(task=key.name, namespace=key.namespace):
            return await self._task(key)

    # tasks

    async def _task(self, key: Key) -> float | None:
        fresh = key in self._ask or key.name not in self._cache.tasks
        raw = await self._find(key)
        wait = await self._close_others(key, raw, fresh)
        if raw is None:
            return wait
        task = parse.task(raw)
        with logs.bound(attempt=task.status.attempt or 0):
            again = await self._steps(key, raw, task, fresh)
        return again if wait is None else min(wait, again if again is not None else math.inf)

    async def _find(self, key: Key) -> dict[str, Any] | None:
        known = self._cache.tasks.get(key.name)
        if known is not None and key not in self._ask:
            return known
        if known is None and key not in self._ask and not await self._concerned(key):
            return None
        try:
            raw = await self._cluster.get_task(key.name)
        except errors.NotFound:
            self._cache.drop_task(key.name)
            self._ask.discard(key)
            return None
        self._cache.put_task(raw)
        self._ask.discard(key)
        return raw

    async def _concerned(self, key: Key) -> bool:
        """Whether anything is left to do about a task that is not among the unfinished ones."""
        if key.name in self._cache.pod_owners().values():
            return True
        return bool(await self._journal.find_open(key.namespace, key.name))

    async def _close_others(self, key: Key, raw: dict[str, Any] | None, fresh: bool) -> float | None:
        """Rows of earlier objects of this name, whose deletion may have gone unseen; ``fresh`` says that the
        API server was asked for the object just now."""
        present = raw["metadata"]["uid"] if raw else None
        if raw is not None and raw.get("status") and not fresh:
            return None  # it has been looked at before, and so were they
        try:
            gone = set(await self._journal.find_open(key.namespace, key.name))
        except errors.StoreError as error:
            log.warning("The history cannot be read: %s", error)
            return RETRY_HISTORY
        gone |= {uid for uid, owner in self._cache.pod_owners().items() if owner == key.name}
        gone.discard(present)
        if gone and not fresh:
            raise Stale("what the cache has under this name may be the older object")
        waits = []
        for uid in gone:
            waits.append(await self._closer.close(key.namespace, uid))
            self._forget(uid)
        wait = min((wait for wait in waits if wait is not None), default=None)
        if wait is not None:
            self._ask.add(key)
        return wait

    async def _steps(self, key: Key, raw: dict[str, Any], task: QueryTask, fresh: bool) -> float | None:
        again: float | None = None
        for _ in range(STEPS):
            observed, readable = await self._look(raw, task, fresh)
            plan = self._decide(key, observed)
            if plan.end is not None and plan.end.retried and not fresh:
                # The garbage collector takes the pods of a deleted task: that is no loss of a worker.
                raise Stale("whether the task is still there is asked before its worker is called lost")
            applied = await self._applier.apply(raw, observed, plan, readable=readable)
            again = plan.again_after
            if applied.refusal is not None:
                self._refusals[task.metadata.uid] = applied.refusal
                again = 0.0
            if not applied.recorded:
                self._ask.add(key)  # a finished task is in no cache, and its row may not exist
                return min(RETRY_HISTORY, again if again is not None else math.inf)
            if again != 0.0:
                break
            raw, task, fresh = applied.raw, parse.task(applied.raw), True
        if task.finished:
            self._settle(task, observed, plan)
        return again

    async def _look(self, raw: dict[str, Any], task: QueryTask, fresh: bool) -> tuple[Observed, bool]:
        uid = task.metadata.uid
        memory = await self._journal.memory(uid)
        if memory is not None and memory.deleted and task.metadata.deletion_timestamp is None:
            if not fresh:
                raise Stale("the history has the object as deleted, and the cache may be behind")
            log.warning("The object is there though its deletion was noted, as after a restored cluster")
            memory = await self._journal.object_returned(uid)
        now = self._now()
        observed = await self._observer.observe(
            task,
            memory or Memory(),
            slot=self._slots.holds(uid),
            refusal=self._refusals.get(uid),
            now=now,
        )
        return observed, memory is not None

    def _decide(self, key: Key, observed: Observed) -> Plan:
        uid, now = observed.task.metadata.uid, self._now()
        plan = decide(observed, now, self._settings)
        if plan.slot is SlotUse.WANT:
            self.line[uid] = key
            rank = Rank(-observed.task.spec.priority, observed.created_at.timestamp(), uid)
            if self._slots.request(rank):
                plan = decide(dataclasses.replace(observed, slot=True), now, self._settings)
        elif plan.slot is SlotUse.HOLD:
            self.line[uid] = key
            self._slots.hold(uid)
        else:
            self._leave(uid)
        return plan

    def _settle(self, task: QueryTask, observed: Observed, plan: Plan) -> None:
        """Let go of what was kept in memory for a task that has its end."""
        uid = task.metadata.uid
        self._forget(uid)
        self._cache.forget_pods(uid, [pod.name for pod in observed.pods if pod.gone])

    def _forget(self, uid: str) -> None:
        self._refusals.pop(uid, None)
        self._journal.forget(uid)
        self._leave(uid)

    def _leave(self, uid: str) -> None:
        self.line.pop(uid, None)
        self._slots.release(uid)

    # sources

    async def _source(self, key: Key) -> None:
        raw = self._cache.sources.get(key.name)
        if raw is None:
            return
        source = parse.source(raw)
        found = sourcing.verdict(source, self._cache.claims, self._settings)
        wanted = sourcing.status(source, found, self._now())
        change = merge.patch(raw.get("status", {}), wanted.document())
        if not change:
            return
        metadata = source.metadata
        try:
            fresh = await self._cluster.patch_source_status(
                metadata.name, metadata.uid, metadata.resource_version, change
            )
        except (errors.NotFound, errors.Conflict) as error:
            raise Stale(f"the source has changed since it was seen: {error}") from error
        log.info("QuerySource %s: %s", metadata.name, found.message)
        for user in self._cache.put_source(fresh):
            if user != key:
                self._enqueue(user)
