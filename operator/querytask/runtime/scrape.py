"""What ``/metrics`` answers: the counters, and the gauges that are read from the history, the slots and the
volumes at that moment."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from querytask import errors
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import Backups, Store, damaged_files
from querytask.metrics import Metrics, Snapshot
from querytask.names import Phase
from querytask.runtime.cache import Key
from querytask.runtime.queue import WorkQueue
from querytask.runtime.slots import Slots

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sources:
    store: Store
    slots: Slots
    volume: ExportsVolume
    history: Path | None
    backups: Backups | None


class Scrape:
    """Answers from the start on; the gauges of the history follow once it is open. ``unix_time`` is the wall
    clock in seconds."""

    def __init__(
        self, metrics: Metrics, queue: WorkQueue[Key], unix_time: Callable[[], float] = time.time
    ) -> None:
        self._metrics, self._queue, self._unix_time = metrics, queue, unix_time
        self._sources: _Sources | None = None

    def watch(
        self,
        store: Store,
        slots: Slots,
        volume: ExportsVolume,
        history: Path | None,
        backups: Backups | None = None,
    ) -> None:
        """From now on the gauges of these are told, too; the directory ``history`` where it is kept in one,
        ``backups`` where some are made."""
        self._sources = _Sources(store, slots, volume, history, backups)

    async def exposition(self) -> bytes:
        """The text; a part that cannot be read is missing in it."""
        depth, oldest = len(self._queue), self._queue.oldest_seconds()
        if self._sources is None:
            return self._metrics.exposition(Snapshot(queue_depth=depth, queue_oldest_seconds=oldest))
        sources = self._sources
        counts, ages = await self._phases(sources.store)
        free, size = await self._volumes(sources)
        slots = {"held": sources.slots.held, "waiting": sources.slots.waiting, "limit": sources.slots.limit}
        backup_at, damaged = await self._kept(sources)
        whole = Snapshot(counts, ages, slots, depth, oldest, free, size, backup_at, damaged)
        return self._metrics.exposition(whole)

    async def _phases(self, store: Store) -> tuple[dict[str, int], dict[str, float]]:
        counts = {phase.value: 0 for phase in Phase}
        ages = {phase.value: 0.0 for phase in Phase if not phase.terminal}
        try:
            found = await store.phases()
        except errors.StoreError as error:
            self._metrics.history_failed("phases")
            log.warning("The history cannot be read: %s", error)
            return {}, {}
        for phase, figures in found.items():
            counts[phase] = figures.count
            if phase in ages:
                ages[phase] = max(0.0, self._unix_time() - figures.oldest_since.timestamp())
        return counts, ages

    async def _kept(self, sources: _Sources) -> tuple[float | None, int | None]:
        if sources.history is None:
            return None, None
        try:
            damaged = len(await asyncio.to_thread(damaged_files, sources.history))
            if sources.backups is None:
                return None, damaged
            newest = await sources.backups.newest()
            return newest.at.timestamp() if newest else 0.0, damaged
        except (OSError, errors.StoreError) as error:
            log.warning("The backups cannot be listed: %s", error)
            return None, None

    async def _volumes(self, sources: _Sources) -> tuple[dict[str, int], dict[str, int]]:
        free, size = {}, {}
        try:
            space = await sources.volume.space()
            free["exports"], size["exports"] = space.free, space.total
            if sources.history is not None:
                disk = await asyncio.to_thread(os.statvfs, sources.history)
                free["history"], size["history"] = (
                    disk.f_bavail * disk.f_frsize,
                    disk.f_blocks * disk.f_frsize,
                )
        except (OSError, errors.ExportsVolumeError) as error:
            log.warning("A volume cannot be measured: %s", error)
        return free, size
