"""The composition root: reads the settings, builds every part once, runs them, and turns a signal into an
orderly end.

    python -m querytask

Exit codes: 0 after SIGTERM or SIGINT; 1 when the operator had to give up, because another one has taken its
lease; 2 when a setting or a volume makes a start impossible. The loop runs beside the main thread, which is
left to the signals, because kopf would take them there.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from querytask import errors, logs, settings
from querytask.adapters import cluster
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import Store
from querytask.core import retention
from querytask.core.collection import Rules
from querytask.metrics import Metrics
from querytask.runtime import keeping, place, probes, source
from querytask.runtime.applier import Applier
from querytask.runtime.backups import BackupTimer
from querytask.runtime.cache import Cache, Key
from querytask.runtime.closing import Closer
from querytask.runtime.collecting import ClusterFacts
from querytask.runtime.collector import Collector
from querytask.runtime.finished import FinishedTasks
from querytask.runtime.health import Health
from querytask.runtime.journal import Journal
from querytask.runtime.lease import Lease, LeaseLost
from querytask.runtime.observer import Observer
from querytask.runtime.operator import Operator
from querytask.runtime.place import Place
from querytask.runtime.purging import Purger
from querytask.runtime.queue import WorkQueue
from querytask.runtime.reconciler import Reconciler
from querytask.runtime.resync import Resync
from querytask.runtime.scrape import Scrape
from querytask.runtime.slots import Slots
from querytask.runtime.watchdog import Watchdog

log = logging.getLogger("querytask")


def now() -> dt.datetime:
    """The wall clock: aware, UTC."""
    return dt.datetime.now(dt.UTC)


async def operate(config: settings.Settings) -> None:
    """Run one operator until cancelled. Raises ``errors.QueryTaskError`` when it cannot start or has to give
    up."""
    metrics, queue = Metrics(), WorkQueue[Key](time.monotonic)
    health = Health(time.monotonic, config.resync_seconds, queue.longest_work_seconds)
    health.waiting_for |= {
        "history": place.NOT_OPEN,
        "lease": "the lease was not asked for yet",
        "firstLook": "not every task was looked at once yet",
    }
    scrape = Scrape(metrics, queue)
    history = place.of(config, now, lambda why: health.waiting_for.update(history=why))
    runner, port = await probes.serve(
        probes.Probes(health.alive, health.ready, scrape.exposition), config.port
    )
    log.info("Probes and metrics are on port %d", port)
    volume = ExportsVolume(Path(config.exports_dir))
    try:
        await history.hold()
        await volume.check()
        store = await history.open()
        calls = cluster.Cluster(
            await cluster.load_configuration(), config.namespace, watcher=metrics.api_called
        )
        try:
            operator = await build(config, calls, store, volume, queue, health, metrics, history)
            health.history = lambda: _ping(store)
            scrape.watch(
                store,
                operator.slots,
                volume,
                history.directory,
                history.backups if config.backups_kept else None,
            )
            if history.prepared:
                await keeping.tell(calls, config.namespace, config.pod_name, history.prepared, now())
            await operator.run()
        finally:
            if history.backups:
                history.backups.close()
            await calls.close()
            await store.close()
    finally:
        volume.close()
        await history.close()
        await runner.cleanup()


async def _ping(store: Store) -> str:
    try:
        await store.ping()
    except errors.StoreError as error:
        return str(error)
    return ""


async def build(
    config: settings.Settings,
    calls: cluster.Cluster,
    store: Store,
    volume: ExportsVolume,
    queue: WorkQueue[Key],
    health: Health,
    metrics: Metrics,
    history: Place,
) -> Operator:
    """Every part of the operator, wired."""
    cache = Cache(config.namespace)
    slots = Slots(
        config.max_running,
        lambda uid: reconciler.granted(uid),  # noqa: PLW0108 - it is not built yet
    )
    observer = Observer(calls, volume, cache, config)
    journal = Journal(store, metrics, now)
    applier = Applier(calls, journal, volume, cache, observer, config, metrics, now)
    closer = Closer(calls, store, cache, observer, now)
    reconciler = Reconciler(calls, journal, cache, slots, observer, applier, closer, config, queue.add, now)
    resync = Resync(
        calls,
        store,
        cache,
        reconciler,
        slots,
        metrics,
        config.namespace,
        enqueue=queue.add,
        unix_time=time.time,
    )
    collector, purger = _housekeeping(config, calls, store, volume, metrics)
    holder = f"{config.pod_name}_{uuid.uuid4().hex[:8]}"
    lease = Lease(calls, holder, config.lease_seconds, now, lambda why: health.waiting_for.update(lease=why))

    def enqueue(keys: Iterable[Key]) -> None:
        for key in keys:
            queue.add(key)

    return Operator(
        settings=config,
        queue=queue,
        reconciler=reconciler,
        resync=resync,
        finished=FinishedTasks(calls, store, reconciler, config.namespace, now),
        watchdog=Watchdog(cache, config, queue.add, now),
        collector=collector,
        purger=purger,
        backups=_backups(config, history, metrics),
        history=history,
        slots=slots,
        lease=lease,
        handlers=source.registry(cache, enqueue, source.login_from(await cluster.load_configuration())),
        health=health,
        metrics=metrics,
    )


def _housekeeping(
    config: settings.Settings, calls: cluster.Cluster, store: Store, volume: ExportsVolume, metrics: Metrics
) -> tuple[Collector, Purger]:
    """What removes files and rows whose time is over."""
    facts = ClusterFacts(calls)
    rules = Rules(
        grace=dt.timedelta(seconds=config.orphan_grace_seconds),
        retention=dt.timedelta(seconds=config.default_retention_seconds),
    )
    collector = Collector(
        store,
        volume,
        living_tasks=facts.living_tasks,
        expired=facts.expired,
        clock=now,
        rules=rules,
        metrics=metrics,
    )
    purger = Purger(
        store,
        volume,
        living_tasks=facts.living_tasks,
        clock=now,
        kept=retention.period(config.task_retention),
        unreadable=rules.retention,
        metrics=metrics,
    )
    return collector, purger


def _backups(config: settings.Settings, history: Place, metrics: Metrics) -> BackupTimer | None:
    """The timer, where the operator makes backups."""
    if history.backups is None or not config.backups_kept:
        return None
    return BackupTimer(history.backups, config.backup_seconds, config.backups_kept, now, metrics)


def main(environment: Mapping[str, str]) -> int:
    """Run until a signal; the exit code of the process."""
    try:
        config = settings.read(environment)
        retention.period(config.task_retention, settings.spoken("task_retention", environment))
    except errors.SettingsError as error:
        sys.stderr.write(f"querytask: {error}\n")
        return 2
    logs.configure(config.log_level)
    loop, result = asyncio.new_event_loop(), [0]
    stopped = threading.Event()
    task = loop.create_task(operate(config))

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            result[0] = _run(loop, task)
        finally:
            loop.close()
            stopped.set()

    thread = threading.Thread(target=run, name="loop", daemon=True)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    thread.start()
    while not stopped.is_set():
        told = signal.sigtimedwait(signals, 0.2)
        # a process that was suspended for longer than the time-out comes back with a signal of number 0
        if told is not None and told.si_signo in signals:
            log.info("Stopping: a signal was received")
            loop.call_soon_threadsafe(task.cancel)
            stopped.wait(20)
            break
    return result[0]


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> int:
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        return 0
    except BaseExceptionGroup as group:
        lost = group.subgroup(LeaseLost)
        log.error(
            "The operator gives up: %s", (lost or group).exceptions[0], exc_info=None if lost else group
        )
        return 1
    except errors.QueryTaskError as error:
        log.error("The operator cannot start: %s", error)
        return 2
    except Exception:
        log.exception("The operator cannot start")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
