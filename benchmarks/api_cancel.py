"""How soon a cancellation is answered.

    python -m benchmarks.api_cancel [--tasks 1000] [--cancels 200] [--history-tasks 1000000]

An operator with 1000 live tasks whose pods are played by a scripted kubelet, and the API beside it, as the
pod has them: two processes on one history, which holds a million tasks of another namespace, too; none of
these falls due meanwhile, and no backup is made. While 50 other requests a second come from other callers
(lists, single tasks, counts), tasks are cancelled at a steady rate over TLS, each with its reason. What
counts is the time from the request to its answer, as the client sees it, and each answer must be a 202. The
baseline is the same write without the API: between two cancellations another task is cancelled by a PATCH to
the API server.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks import cpu
from benchmarks.bounds import percentile, report
from benchmarks.history_rows import build
from benchmarks.plane import Installation, kubelet, plane, task
from querytask import names
from querytask.adapters.store import sqlite
from querytask.adapters.store.columns import millis
from tests.controlplane.kit import api, script
from tests.controlplane.kit.api import READ, WRITE, Accounts, ApiProcess
from tests.controlplane.kit.client import Json

TRAFFIC_PER_SECOND = 50.0
CANCELS_PER_SECOND = 2.0
"""Few, so that what a cancellation sets going (the operator, the kubelet) is not what is measured."""
CALLERS = 5
"""Who send the other requests."""
LIVE_SECONDS = 300.0
"""How long the tasks may take until the operator has them all."""
REASON = {"reason": "measured"}
KEPT = "3650d"
"""How long the operator is told to keep what has ended: the rows are of the past."""
LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@dataclass
class Found:
    """Seconds of each answer."""

    cancels: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    """Of the same write, sent to the API server."""
    others: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    """Seconds by process, while it was measured."""
    seconds: float = 0.0
    noise: int = 0
    """How many other requests were answered in this time."""


@asynccontextmanager
async def serving(
    place: Installation, plane_folder: Path, history: Path | None = None
) -> AsyncIterator[ApiProcess]:
    """The API beside the operator of ``place``, on its history or another one."""
    pki = api.certificates(place.folder / "pki")
    values = api.environment(
        place.plane,
        place.namespace,
        pki,
        history=history or place.history,
        exports=place.exports,
        authority=plane_folder / "pki" / "ca.crt",
    )
    process = ApiProcess(values, place.folder / "api.log", pki)
    try:
        await asyncio.to_thread(process.wait_ready)
        yield process
    finally:
        await asyncio.to_thread(process.stop)


def client(process: ApiProcess, token: str) -> httpx.AsyncClient:
    """A caller."""
    context = ssl.create_default_context(cafile=str(process.pki.authority))
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        base_url=process.url, headers=headers, verify=context, timeout=30, trust_env=False
    )


async def cancel(
    caller: httpx.AsyncClient, place: Installation, tasks: Sequence[Json], count: int, found: Found
) -> None:
    """Cancel one after the other, at a steady rate, one here and one there: a slow answer does not slow the
    next request down."""
    async with asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number, item in enumerate(tasks[: 2 * count]):
            await asyncio.sleep(max(0.0, began + number / 2 / CANCELS_PER_SECOND - time.perf_counter()))
            metadata = item["metadata"]
            if number % 2:
                group.create_task(_direct(place, str(metadata["name"]), found))
            else:
                group.create_task(_cancel(caller, str(metadata["uid"]), found))


async def _direct(place: Installation, name: str, found: Found) -> None:
    began = time.perf_counter()
    annotations = {names.CANCEL_REASON_ANNOTATION: "measured"}
    body: Json = {"metadata": {"annotations": annotations}, "spec": {"cancel": True}}
    await place.client.call("PATCH", place.path(names.TASK_PLURAL, name), body)
    found.direct.append(time.perf_counter() - began)


async def _cancel(caller: httpx.AsyncClient, uid: str, found: Found) -> None:
    began = time.perf_counter()
    answer = await caller.post(f"/api/v1/tasks/{uid}/cancel", json=REASON)
    found.cancels.append(time.perf_counter() - began)
    if answer.status_code != 202:
        found.wrong.append(answer.text)


async def others(callers: Sequence[httpx.AsyncClient], uids: Sequence[str], found: Found) -> None:
    """The other traffic, until it is ended."""
    paths = itertools.cycle(
        [
            "/api/v1/tasks?limit=50",
            f"/api/v1/tasks/{uids[0]}",
            "/api/v1/tasks?status=running&limit=20",
            f"/api/v1/tasks/{uids[-1]}/events",
            "/api/v1/tasks?text=select&limit=20",
        ]
    )
    turn = itertools.cycle(callers)
    async with asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, began + number / TRAFFIC_PER_SECOND - time.perf_counter()))
            group.create_task(_other(next(turn), next(paths), found))


async def _other(caller: httpx.AsyncClient, path: str, found: Found) -> None:
    began = time.perf_counter()
    answer = await caller.get(path)
    found.others.append(time.perf_counter() - began)
    if answer.status_code != 200:
        found.wrong.append(answer.text)


async def live(caller: httpx.AsyncClient, count: int) -> None:
    """Come back when the history has that many running tasks."""
    query = {"status": "running", "count": "true", "limit": "1"}
    async with asyncio.timeout(LIVE_SECONDS):
        while (await caller.get("/api/v1/tasks", params=query)).json()["count"] < count:  # noqa: ASYNC110 - asked seldom
            await asyncio.sleep(0.5)


async def measured(place: Installation, process: ApiProcess, tasks: Sequence[Json], cancels: int) -> Found:
    """Cancel ``cancels`` of the tasks, and as many without the API, while others ask."""
    uids = [str(item["metadata"]["uid"]) for item in tasks]
    accounts, found = Accounts(place.plane, place.namespace), Found()
    writer = client(process, accounts.make("bench-writer", WRITE))
    readers = [client(process, accounts.make(f"bench-reader-{number}", READ)) for number in range(CALLERS)]
    try:
        await live(writer, len(uids))
        noise = asyncio.create_task(others(readers, uids, found))
        await asyncio.sleep(2)  # the noise is there, and every connection is open, before anything counts
        before, began, others_before = cpu.spent(), time.perf_counter(), len(found.others)
        await cancel(writer, place, tasks, cancels, found)
        found.cpu, found.seconds = cpu.since(before), time.perf_counter() - began
        found.noise = len(found.others) - others_before
        noise.cancel()
        await asyncio.gather(noise, return_exceptions=True)
    finally:
        for caller in (writer, *readers):
            await caller.aclose()
    return found


def fill(history: Path, tasks: int) -> None:
    """A history in which nothing falls due meanwhile: the rows are of the past, and so would be the time of
    each result."""
    build(history, tasks)
    with closing(sqlite.driver().connect(str(history / sqlite.FILE_NAME))) as connection, connection:
        connection.execute("UPDATE exports SET expires_at = ? WHERE expires_at IS NOT NULL", [millis(LATER)])


async def measure(tasks: int, cancels: int, history_tasks: int) -> bool:
    """True when the bound is kept."""
    scene = "hang stop=0.2"
    bodies = [task(f"live-{number}", sql=script.sql(scene)) for number in range(tasks)]
    with plane() as where:
        async with where.installation() as place, kubelet(place, scene):
            await asyncio.to_thread(fill, place.history, history_tasks)
            with place.operator(max_running=tasks, task_retention=KEPT, backups_kept=0):
                made = await place.create(names.TASK_PLURAL, bodies)
                async with serving(place, where.plane.folder) as process:
                    found = await measured(place, process, made, cancels)
    for wrong in found.wrong[:3]:
        print(f"must be answered as asked, not with {wrong}")
    middle = statistics.median(found.cancels) * 1000, statistics.median(found.direct) * 1000
    print(
        f"{len(found.cancels)} cancellations, median {middle[0]:.1f} ms, without the API {middle[1]:.1f} ms"
    )
    rate, slowest = found.noise / found.seconds, percentile(found.others, 0.99)
    print(f"{rate:.0f} other requests a second, p99 {slowest * 1000:.1f} ms")
    for part, used in sorted(found.cpu.items(), key=lambda item: -item[1]):
        print(f"    {part}: {used / found.seconds:.0%} of a core")
    kept = report("api_cancel_p99_seconds", percentile(found.cancels, 0.99), percentile(found.direct, 0.99))
    return kept and not found.wrong


def main() -> int:
    """Measure, and compare with the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--cancels", type=int, default=200)
    parser.add_argument("--history-tasks", type=int, default=1_000_000, help="rows that are there before")
    options = parser.parse_args()
    return 0 if asyncio.run(measure(options.tasks, options.cancels, options.history_tasks)) else 1


if __name__ == "__main__":
    sys.exit(main())
