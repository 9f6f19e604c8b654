"""How many steps of tasks the history writes in a second, and whether the event loop feels it.

    python -m benchmarks.history_writer [--seconds 20] [--tasks 1000000] [--directory D | --postgresql]

As the operator writes: many tasks at once, each step waited for until it is durable (``synchronous=FULL``), a
transition with every step. A task takes three: it waits, it runs, it has succeeded with result and export.
The history has rows before it begins, so that its indexes have their depth. Meanwhile the loop is asked every
few milliseconds how late it is, and a reader pages through a list, for as long as the writing takes. With
``--postgresql`` the same on the database whose URL is in QUERYTASK_HISTORY_URL, as it is; that has no bound.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bounds import percentile, report
from benchmarks.history_rows import NAMESPACE, build, text
from querytask.adapters.store import (
    AttemptRecord,
    ExportRecord,
    ResultRecord,
    Store,
    TaskRecord,
    TransitionRecord,
    open_database,
    open_history,
    sqlite,
)
from querytask.core.listing import Order, PageRequest, TaskFilter
from querytask.names import Phase, Reason
from querytask_worker.contract import Column, Preview

AT_ONCE = 16
"""Tasks that are written at the same time: as many as the operator reconciles."""
LOOK_SECONDS = 0.005
T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STEPS = 3


class Load:
    """Tasks that go through their lives until it is time to stop."""

    def __init__(self, store: Store, until: float) -> None:
        self.store, self.until = store, until
        self.numbers: Iterator[int] = itertools.count()
        self.name = f"new-{uuid.uuid4().hex[:8]}"  # the history may have been written to before
        self.steps = 0
        self.took: list[float] = []

    async def run(self) -> None:
        """All at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._tasks())

    async def _tasks(self) -> None:
        while time.perf_counter() < self.until:
            number = next(self.numbers)
            for step in range(STEPS):
                began = time.perf_counter()
                await self._step(number, step)
                self.took.append(time.perf_counter() - began)
                self.steps += 1

    async def _step(self, number: int, step: int) -> None:
        phase, reason = (
            (Phase.QUEUED, Reason.WAITING_FOR_SLOT),
            (Phase.RUNNING, Reason.STARTED),
            (Phase.SUCCEEDED, Reason.COMPLETED),
        )[step]
        now = T0 + dt.timedelta(seconds=number // 100)
        done = step == STEPS - 1
        task = TaskRecord(
            uid=f"{self.name}-{number:08}",
            namespace=NAMESPACE,
            name=f"{self.name}-{number:08}",
            created_at=now,
            owner=f"owner-{number % 50}",
            sql=text(number % 1000),
            metadata={"labels": {"team": "data"}},
            phase=phase,
            reason=reason,
            attempt=1,
            queued_at=now,
            started_at=now if step else None,
            completed_at=now if done else None,
            execution_seconds=number % 100 / 10 if done else None,
            result=ResultRecord(rows=2, columns=(Column("a", "INTEGER"),), preview=Preview(("[1]", "[2]")))
            if done
            else None,
        )
        attempt = AttemptRecord(attempt=1, pod_name=f"qt-{number}-1", started_at=now) if step else None
        export = ExportRecord(attempt=1, path="a.parquet", bytes=1, rows=2) if done else None
        told = TransitionRecord(attempt=1, phase=phase, reason=reason, at=now, source="reconcile")
        await self.store.record(task, attempt, export, [told])


async def lateness(stopped: asyncio.Event) -> float:
    """The longest that the loop was late, in seconds, until ``stopped``."""
    worst = 0.0
    while not stopped.is_set():
        began = time.perf_counter()
        await asyncio.sleep(LOOK_SECONDS)
        worst = max(worst, time.perf_counter() - began - LOOK_SECONDS)
    return worst


async def reader(store: Store, stopped: asyncio.Event) -> int:
    """Page through the list of the last changes until ``stopped``; the number of pages."""
    pages, cursor = 0, None
    while not stopped.is_set():
        request = PageRequest(order=Order.UPDATED, cursor=cursor)
        cursor = (await store.search(TaskFilter(namespace=NAMESPACE), request)).next
        pages += 1
        await asyncio.sleep(0.1)
    return pages


async def measure(store: Store, seconds: float) -> tuple[float, float]:
    """Write for that long; steps in a second, and how many seconds the loop was late at most."""
    stopped = asyncio.Event()
    beside = [asyncio.create_task(lateness(stopped)), asyncio.create_task(reader(store, stopped))]
    began = time.perf_counter()
    load = Load(store, began + seconds)
    await load.run()
    took = time.perf_counter() - began
    stopped.set()
    late, pages = await asyncio.gather(*beside)
    await store.close()
    slow = percentile(load.took, 0.99) * 1000
    print(
        f"{load.steps:,} steps in {took:.1f} s, the 99th percentile of one {slow:.0f} ms; {pages} pages read"
    )
    return load.steps / took, late


async def on_file(directory: Path, seconds: float) -> bool:
    """Whether the figures of a history in ``directory`` keep their bounds."""
    rate, late = await measure(await open_history(directory), seconds)
    kept = report("history_transitions_per_second", rate)
    return report("history_loop_blocked_milliseconds", late * 1000) and kept


async def on_database(url: str, seconds: float) -> bool:
    """The figures of a database, for whoever wants to know."""
    rate, late = await measure(await open_database(url), seconds)
    print(f"{rate:.0f} steps a second; the loop was late by {late * 1000:.0f} ms at most")
    return True


def main() -> int:
    """Build, write, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_writer", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="rows that are there before")
    parser.add_argument("--directory", type=Path, help="a history that was made before; made anew without")
    parser.add_argument(
        "--postgresql",
        action="store_true",
        help="write to the database of QUERYTASK_HISTORY_URL, which must be of no use to anybody",
    )
    given = parser.parse_args()
    if given.postgresql:
        if not (url := os.environ.get("QUERYTASK_HISTORY_URL", "")):
            parser.error("QUERYTASK_HISTORY_URL must be set with --postgresql")
        return 0 if asyncio.run(on_database(url, given.seconds)) else 1
    with tempfile.TemporaryDirectory(prefix="querytask-history-") as temporary:
        history = given.directory or Path(temporary)
        if not (history / sqlite.FILE_NAME).exists():
            history.mkdir(parents=True, exist_ok=True)
            build(history, given.tasks)
        return 0 if asyncio.run(on_file(history, given.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
