"""Carries out what ``core.collection`` plans: removes from the exports volume what has expired, and what
was left over.

Started by the runtime, at the operator's start and then on a timer. Every run asks the history, by an
index, which exports are due; the whole volume is looked through at the first run and then once in
``sweep_seconds``, for what no row tells of. A removal is done in the order that any crash can be repeated
from: the files go, then the object shows it, then the history; a row that is not marked comes up again.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from querytask import errors
from querytask.adapters.exports import ExportsVolume, Removal
from querytask.adapters.store import DueExport, Store, TaskKey
from querytask.core.collection import Action, Cluster, Kind, Rules, plan
from querytask.core.collection_facts import DirectoryFacts, Moment, TaskState
from querytask.names import ExportState

log = logging.getLogger(__name__)

BATCH = 100
"""How many due exports are asked for at a time."""
SWEEP_SECONDS = 900.0
"""Between two looks through the whole volume: left-overs are in no hurry, and what expires is found by
index."""


class Counters(Protocol):
    """The metrics of the collector."""

    def removed(self, kind: str, size: int) -> None:
        """Something of ``size`` bytes is gone."""

    def removal_failed(self) -> None:
        """Something could not be removed, or not be told."""


class Collector:
    """Collects. ``living_tasks`` answers with the tasks of the cluster, ``None`` when it could not be
    asked; ``expired`` shows on an object, if it is there, that its export is gone, and raises
    ``ClusterError`` to be asked again.
    """

    def __init__(
        self,
        store: Store,
        volume: ExportsVolume,
        *,
        living_tasks: Callable[[], Awaitable[Cluster]],
        expired: Callable[[TaskKey, Moment], Awaitable[None]],
        clock: Callable[[], Moment],
        rules: Rules,
        metrics: Counters,
        sweep_seconds: float = SWEEP_SECONDS,
        batch: int = BATCH,
    ) -> None:
        self._store, self._volume = store, volume
        self._living_tasks, self._tell_expired = living_tasks, expired
        self._clock, self._rules, self._metrics = clock, rules, metrics
        self._sweep_every = dt.timedelta(seconds=sweep_seconds)
        self._batch = batch
        self._swept: Moment | None = None

    async def run_once(self) -> None:
        """Remove what is due now.

        Raises ``StoreError`` or ``ExportsVolumeError`` when history or volume could not be asked at all; a
        removal that failed is logged, counted, and tried again at a later run.
        """
        run = _Run(self._clock(), self._living_tasks)
        await self._expire(run)
        if self._swept is None or run.now >= self._swept + self._sweep_every:
            await self._guarded(self._empty_trash(), "none")
            await self._sweep(run)
            self._swept = run.now
            await self._expire(run)

    async def _expire(self, run: _Run) -> None:
        while due := await self._due(run):
            for export in due:
                if not await self._guarded(self._expire_one(export, run), export.key.uid):
                    run.stuck.add(export.key.uid)

    async def _due(self, run: _Run) -> list[DueExport]:
        due = await self._store.due_exports(run.now, self._batch + len(run.stuck))
        return [export for export in due if export.key.uid not in run.stuck]

    async def _expire_one(self, due: DueExport, run: _Run) -> bool:
        """Remove one export, and tell; whether its row is off the list."""
        key, cluster = due.key, await run.cluster()
        directory = await self._volume.directory(key.namespace, key.uid)
        if directory is not None:
            state = (await self._store.states([key.uid])).get(key.uid)
            action = _whole(plan(directory, state, cluster, run.now, self._rules))
            if action is None:
                return await self._postpone(directory, run.now)
            await self._remove(action)
        if due.state == ExportState.AVAILABLE:
            if cluster is None:
                return False  # its object is told when the API server can be reached
            await self._tell_expired(key, run.now)
        await self._store.mark_export(key.uid, ExportState.EXPIRED, run.now)
        return True

    async def _postpone(self, directory: DirectoryFacts, now: Moment) -> bool:
        told = directory.manifest.expires_at if directory.manifest else None
        if told is None or told <= now:
            return False
        await self._store.correct_expiry(directory.uid, told)
        return True

    async def _sweep(self, run: _Run) -> None:
        cluster = await run.cluster()
        async for directories in self._volume.scan():
            # Asked after the directories were seen: a task has its row before it has a directory.
            states = await self._store.states([directory.uid for directory in directories])
            for directory in directories:
                state = states.get(directory.uid)
                for action in plan(directory, state, cluster, run.now, self._rules):
                    await self._guarded(self._collect(action, state, run.now), directory.uid)

    async def _collect(self, action: Action, state: TaskState | None, now: Moment) -> bool:
        if action.kind is Kind.EXPIRED and state is not None and state.export_state == ExportState.AVAILABLE:
            await self._store.correct_expiry(action.uid, now)  # now it is due, and the object is told, too
        else:
            await self._remove(action)
        return True

    async def _remove(self, action: Action) -> None:
        removal = await self._carry_out(action)
        self._metrics.removed(action.kind, removal.bytes)
        log.info(
            "Removed %s of %s/%s, %d files, %d bytes: %s",
            action.kind if action.attempt is None else f"{action.kind} {action.attempt}",
            action.namespace,
            action.uid,
            removal.files,
            removal.bytes,
            action.why,
        )

    async def _carry_out(self, action: Action) -> Removal:
        if action.attempt is None:
            return await self._volume.remove_task(action.namespace, action.uid)
        if action.kind is Kind.PARTIALS:
            return await self._volume.remove_partials(action.namespace, action.uid, action.attempt)
        return await self._volume.remove_attempt(action.namespace, action.uid, action.attempt)

    async def _empty_trash(self) -> bool:
        await self._volume.empty_trash()
        return True

    async def _guarded(self, removal: Awaitable[bool], uid: str) -> bool:
        try:
            return await removal
        except (errors.ExportsVolumeError, errors.ClusterError) as error:
            self._metrics.removal_failed()
            log.warning("A removal is tried again at a later run, task %s: %s", uid, error)
            return False


class _Run:
    """One run: its time, the cluster's tasks, asked for once and only if somebody needs them, and the uids
    that are not tried again in it."""

    def __init__(self, now: Moment, ask: Callable[[], Awaitable[Cluster]]) -> None:
        self.now, self._ask = now, ask
        self.stuck: set[str] = set()
        self._answer: tuple[Cluster] | None = None

    async def cluster(self) -> Cluster:
        if self._answer is None:
            self._answer = (await self._ask(),)
        return self._answer[0]


def _whole(actions: list[Action]) -> Action | None:
    return next((action for action in actions if action.attempt is None), None)
