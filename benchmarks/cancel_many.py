"""Cancels very many running tasks at once, against a scripted kubelet whose workers stop within a moment. For
``cancel``."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import audit
from benchmarks.plane import CREATORS, Installation, ends, kubelet, no_pods, plane, seen_all, task
from querytask import names
from tests.controlplane.kit import script
from tests.controlplane.kit.chart import RELEASE
from tests.controlplane.kit.client import Json

SCENE = "hang stop=0.2"


@dataclass(frozen=True)
class Found:
    """Tasks that are not Cancelled in the end, and the most writes that one took."""

    left: int
    most_writes: int


async def measure(count: int, log: Path) -> Found:
    """Let ``count`` tasks run, cancel them all, and look at what became of them."""
    with plane(audit=log) as where:
        async with where.installation() as place:
            with place.operator(max_running=count):
                async with kubelet(place, SCENE):
                    return await _run(place, count, log)


async def _run(place: Installation, count: int, log: Path) -> Found:
    print(f"letting {count} tasks run (usually {count / 12:.0f} s)", flush=True)
    bodies = [task(f"task-{number}", sql=script.sql(SCENE)) for number in range(count)]
    made = await ends(place, names.TASK_PLURAL, bodies, "status.phase=Running")
    asked, started = dt.datetime.now(dt.UTC), time.monotonic()
    print(f"cancelling them (usually {count / 12:.0f} s)", flush=True)
    left = await _cancel(place, made)
    rate = 60 * (count - left) / (time.monotonic() - started)
    await no_pods(place)
    uids = {item["metadata"]["name"]: item["metadata"]["uid"] for item in made}
    written = audit.writes(log, audit.service_account(place.namespace, RELEASE))
    found = audit.by_task([write for write in written if write.at >= asked], uids)
    print(f"{rate:.0f} cancelled a minute\n{audit.table(found)}", flush=True)
    return Found(left, max(len(items) for items in found.values()))


async def _cancel(place: Installation, made: list[Json]) -> int:
    """Ask for all, some at a time; how many were not seen to be Cancelled."""
    begun = asyncio.Event()
    watching = asyncio.create_task(
        seen_all(place, names.TASK_PLURAL, len(made), "status.phase=Cancelled", begun)
    )
    await begun.wait()
    waiting = iter(made)

    async def work() -> None:
        for item in waiting:
            path = place.path(names.TASK_PLURAL, item["metadata"]["name"])
            await place.client.call("PATCH", path, {"spec": {"cancel": True}}, seconds=60)

    await asyncio.gather(*(work() for _ in range(CREATORS)))
    try:
        await watching
    except TimeoutError:
        pass
    items, _ = await place.client.list(place.path(names.TASK_PLURAL))
    return sum(item["status"]["phase"] != "Cancelled" for item in items)
