"""The running operator: its loops, in the order in which they may start, and how they end.

Built by ``__main__`` from parts that know nothing of each other. First everything is listed and looked at
once, so that the slots of living pods are taken before anybody new gets one; then the line moves, and events
and timers go on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from querytask import errors
from querytask.core import retention
from querytask.metrics import Metrics
from querytask.runtime import source
from querytask.runtime.applier import Stale
from querytask.runtime.backups import LOOK_SECONDS, BackupTimer
from querytask.runtime.cache import Key
from querytask.runtime.collector import Collector
from querytask.runtime.finished import FinishedTasks
from querytask.runtime.health import Health
from querytask.runtime.lease import Lease
from querytask.runtime.place import Place
from querytask.runtime.purging import Purger
from querytask.runtime.queue import WorkQueue
from querytask.runtime.reconciler import Reconciler
from querytask.runtime.resync import Resync
from querytask.runtime.slots import Slots
from querytask.runtime.watchdog import Watchdog
from querytask.settings import Settings

log = logging.getLogger(__name__)
TTL_SECONDS = 2.0
"""Between two looks at the index of tasks whose ``ttlAfterFinished`` is over."""


@dataclass(frozen=True)
class Operator:
    """The parts of one running operator."""

    settings: Settings
    queue: WorkQueue[Key]
    reconciler: Reconciler
    resync: Resync
    finished: FinishedTasks
    watchdog: Watchdog
    collector: Collector
    purger: Purger
    backups: BackupTimer | None
    """Where the operator makes backups."""
    history: Place
    slots: Slots
    lease: Lease
    handlers: Any
    health: Health
    metrics: Metrics

    async def run(self) -> None:
        """Run until cancelled; raises ``LeaseLost`` when another operator has taken over."""
        await self.lease.acquire()
        self.health.waiting_for.pop("lease", None)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.lease.keep(), name="lease")
                group.create_task(self.history.keep(), name="history")
                group.create_task(self._work(group), name="work")
        finally:
            await self.lease.release()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while not await self._resync():  # noqa: ASYNC110 - nobody tells when the API server is back
            await asyncio.sleep(min(2.0, self.settings.resync_seconds))
        for number in range(self.settings.concurrency):
            group.create_task(self._worker(), name=f"worker-{number}")
        await self._settled()
        self.slots.open()
        self.health.waiting_for.pop("firstLook", None)
        log.info("The operator is ready: %d slots, %d held", self.slots.limit, self.slots.held)
        group.create_task(
            source.run(self.handlers, self.settings.namespace, self.metrics.source_restarted), name="events"
        )
        settings = self.settings
        self._every(group, "resync", settings.resync_seconds, self._resync)
        self._every(group, "watchdog", settings.watchdog_seconds, self.watchdog.look)
        self._every(group, "ttl", TTL_SECONDS, self.finished.expire)
        self._every(group, "finished", settings.finished_scan_seconds, self.finished.walk)
        self._every(group, "collector", settings.collect_seconds, self.collector.run_once)
        scan = retention.scan_seconds(retention.period(settings.task_retention))
        self._every(group, "purge", scan, self.purger.run_once)
        if self.backups is not None:
            self._every(group, "backup", LOOK_SECONDS, self.backups.run_once)

    async def _settled(self) -> None:
        """Wait until everything was looked at once; what fails comes back by itself."""
        while not self.queue.idle:  # noqa: ASYNC110 - once, at the start
            await asyncio.sleep(0.05)

    async def _resync(self) -> bool:
        self.health.began()
        done = await self.resync.run_once()
        self.health.tried(self.resync.failure)
        return done

    def _every(
        self, group: asyncio.TaskGroup, name: str, seconds: float, run: Callable[[], Awaitable[object]]
    ) -> None:
        group.create_task(_timer(name, seconds, run), name=name)

    async def _worker(self) -> None:
        while True:
            await self.lease.held.wait()
            key = await self.queue.get()
            if not self.lease.held.is_set():  # it was lost while this worker slept
                self.queue.done(key)
                self.queue.add(key)
                continue
            started = time.monotonic()
            result = "error"
            try:
                result = await self._one(key)
            finally:
                self.queue.done(key)
                self.metrics.reconciled(result, time.monotonic() - started)

    async def _one(self, key: Key) -> str:
        try:
            again = await self.reconciler.reconcile(key)
        except Stale as stale:
            log.debug("%s %s is looked at again: %s", key.kind, key.name, stale)
            self.reconciler.ask(key, enqueue=False)
            self.queue.add_failed(key)
            return "retry"
        except errors.TooManyRequests as error:
            self.queue.add_after(key, error.retry_after)
            return "retry"
        except errors.QueryTaskError as error:
            delay = self.queue.add_failed(key)
            log.warning(
                "%s %s comes back in %.1f s: %s: %s", key.kind, key.name, delay, type(error).__name__, error
            )
            return "retry"
        except Exception:
            delay = self.queue.add_failed(key)
            log.exception("%s %s comes back in %.1f s", key.kind, key.name, delay)
            return "error"
        self.queue.forget(key)
        if again is not None and again != float("inf"):
            self.queue.add_after(key, max(0.0, again))
        return "ok"


async def _timer(name: str, seconds: float, run: Callable[[], Awaitable[object]]) -> None:
    """Run now, and then for ever with a pause; a run that fails is said, and the next one comes."""
    while True:
        try:
            await run()
        except errors.QueryTaskError as error:
            log.warning("The timer %s has failed and runs again in %.0f s: %s", name, seconds, error)
        except Exception:
            log.exception("The timer %s has failed and runs again in %.0f s", name, seconds)
        await asyncio.sleep(seconds)
