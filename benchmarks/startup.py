"""The operator's start beside many finished tasks: ``python -m benchmarks.startup [--count 10000]``.

From the start of the process until it is ready and the first status of a new task was seen; and the most
memory that it has had by the time when it has come to rest: the collector has looked through the whole
volume, the walk over the finished tasks has ended. The baseline is the same operator in an installation
without any.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass

import psutil

from benchmarks.bounds import report
from benchmarks.finished import make
from benchmarks.plane import Installation, plane, task
from querytask import names
from tests.controlplane.kit.operator import OperatorProcess

RESTED_SHARE, REST_SECONDS = 0.04, 5.0
"""At rest: less than this share of a core for so many seconds, between two resyncs."""
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Start:
    """Seconds until the operator was ready and until the new task had a status; bytes of memory, the most and
    at rest."""

    ready: float
    served: float
    peak: int
    resting: int

    def __str__(self) -> str:
        memory = f"{self.peak / 1e6:.0f} MB at most, {self.resting / 1e6:.0f} MB at rest"
        return f"ready after {self.ready:.1f} s, first status after {self.served:.1f} s, {memory}"


async def start(place: Installation) -> Start:
    """Start an operator beside a task that nobody has looked at yet, and wait until it is at rest."""
    await place.create(names.TASK_PLURAL, [task("new")])
    began = time.monotonic()
    with place.operator(ready=False) as operator:
        ready, served = await asyncio.gather(_ready(operator, began), _served(place, began))
        await _at_rest(operator.process.pid)
        peak, resting = _memory(operator.process.pid)
    return Start(ready, served, peak, resting)


async def _ready(operator: OperatorProcess, began: float) -> float:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(operator.ready):  # noqa: ASYNC110 - a probe tells when it is asked
            await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - began


async def _served(place: Installation, began: float) -> float:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _, item in place.client.watch(
            place.path(names.TASK_PLURAL), fieldSelector="metadata.name=new"
        ):
            if item.get("status", {}).get("phase"):
                break
    return time.monotonic() - began


async def _at_rest(pid: int) -> None:
    process = psutil.Process(pid)
    async with asyncio.timeout(PATIENCE_SECONDS):
        share = 1.0
        while share > RESTED_SHARE:
            before = sum(process.cpu_times()[:2])
            await asyncio.sleep(REST_SECONDS)
            share = (sum(process.cpu_times()[:2]) - before) / REST_SECONDS


def _memory(pid: int) -> tuple[int, int]:
    """The most resident memory that a process has had, and what it has; in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))  # type: ignore[return-value]


async def measure(count: int) -> bool:
    """True when both bounds are kept."""
    with plane() as where:
        async with where.installation() as place:
            alone = await start(place)
        print(f"no finished tasks: {alone}", flush=True)
        async with where.installation() as place:
            await make(place, count)
            among = await start(place)
        print(f"{count} finished tasks: {among}", flush=True)
    kept = [
        report("startup_memory_megabytes", among.peak / 1e6, alone.peak / 1e6),
        report("startup_seconds", max(among.ready, among.served), max(alone.ready, alone.served)),
    ]
    return all(kept)


def main() -> int:
    """Measure, and compare with the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    return 0 if asyncio.run(measure(parser.parse_args().count)) else 1


if __name__ == "__main__":
    sys.exit(main())
