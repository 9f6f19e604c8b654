"""Tasks a minute against ``batch/v1`` Jobs a minute: ``python -m benchmarks.throughput [--count 1000]
[--rounds 3]``.

Both run the same pod, which ends at once, and by turns, each round in a new namespace of one control plane.
From the first create to the last object seen in its end. The operator has its default settings but for
``maxRunning``, which is ``--count``: the Job controller has no such bound. Beside each rate stands what each
process spent of the processor for one object: both sides are limited by it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from benchmarks import cpu
from benchmarks.bounds import report
from benchmarks.jobs import job, template
from benchmarks.plane import Installation, Plane, ends, plane, task
from benchmarks.pods import InstantKubelet
from querytask import names
from tests.controlplane.kit.client import Json

WARM_UP = 50


class Rate(NamedTuple):
    """Objects a minute, and seconds of processor for each object by process."""

    a_minute: float
    seconds: dict[str, float]


async def tasks_a_minute(place: Installation, count: int) -> Rate:
    """The rate at which the operator brings tasks to their end."""
    with place.operator(max_running=count):
        async with _kubelet(place):
            bodies = [task(f"task-{number}", export={}) for number in range(count)]
            return await _rate(place, names.TASK_PLURAL, bodies, "status.phase=Succeeded")


async def jobs_a_minute(place: Installation, count: int) -> Rate:
    """The rate at which the Job controller does."""
    async with _kubelet(place):
        pod = template(place)
        bodies = [job(f"job-{number}", pod) for number in range(count)]
        return await _rate(place, "jobs", bodies, "status.successful=1")


async def _rate(place: Installation, plural: str, bodies: list[Json], ended: str) -> Rate:
    started, before = time.monotonic(), cpu.spent()
    await ends(place, plural, bodies, ended)
    a_minute = 60 * len(bodies) / (time.monotonic() - started)
    return Rate(a_minute, {part: spent / len(bodies) for part, spent in cpu.since(before).items()})


@contextlib.asynccontextmanager
async def _kubelet(place: Installation) -> AsyncIterator[None]:
    running = asyncio.create_task(InstantKubelet(place.client, place.namespace, place.exports).run())
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def measure(where: Plane, count: int, rounds: int) -> bool:
    """Rounds by turns; true when the bound is kept."""
    found: dict[str, list[float]] = {"tasks": [], "Jobs": []}
    kinds = {"tasks": tasks_a_minute, "Jobs": jobs_a_minute}
    for number in range(rounds + 1):
        for kind, run in kinds.items():
            async with where.installation() as place:
                rate = await run(place, count if number else min(count, WARM_UP))
            if number:
                found[kind].append(rate.a_minute)
                spent = ", ".join(f"{part} {1000 * each:.1f}" for part, each in rate.seconds.items())
                print(f"round {number}: {rate.a_minute:7.0f} {kind} a minute; ms of CPU for each: {spent}")
                sys.stdout.flush()
    tasks, jobs = (statistics.median(rates) for rates in found.values())
    return report("throughput", tasks, jobs)


def main() -> int:
    """Measure, and compare with the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="objects in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with plane("job-controller") as where:
        return 0 if asyncio.run(measure(where, options.count, options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
