"""A cold task against a bare pod on the real node: ``python -m benchmarks.cold_task [--pairs 12]``.

Both run the same query with the same image, command, mounts and resources; the bare pod finds its assignment
prepared. By turns, from the create to the phase Succeeded as a watcher of the object sees it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import time
import uuid
from collections.abc import Iterator

from benchmarks.bounds import report
from benchmarks.node import Release, Watcher, brief, phase, released
from benchmarks.plane import task
from querytask import names
from querytask.api import parse
from querytask.core import pods
from querytask.settings import Settings
from querytask_worker import contract
from tests.controlplane.kit.client import Json

SPEC: Json = {"sql": "SELECT 42 AS answer, 'text' AS word", "export": {}}
ENDED = phase("Succeeded", "Failed", "Cancelled")


class Pairs:
    """Tasks and bare pods of one release, each with a name of its own."""

    def __init__(self, where: Release, tasks: Watcher, bare: Watcher) -> None:
        self._release, self._tasks, self._pods = where, tasks, bare
        self._settings: Settings = where.settings()
        self._numbers: Iterator[int] = itertools.count(1)

    async def task(self) -> float:
        """Seconds of one task."""
        body = task(f"task-{next(self._numbers)}", **SPEC)
        return await self._seconds(self._tasks, names.TASK_PLURAL, body)

    async def pod(self) -> float:
        """Seconds of one bare pod."""
        return await self._seconds(self._pods, "pods", self._bare())

    async def _seconds(self, watcher: Watcher, plural: str, body: Json) -> float:
        name = body["metadata"]["name"]
        started = time.time()
        await self._release.client.call("POST", self._release.path(plural), body)
        ended = await watcher.until(name, ENDED)
        _, last = watcher.of(name).versions[-1]
        if last["status"]["phase"] != "Succeeded":
            raise RuntimeError(f"{plural} {name} must succeed, not end as {brief(last)}")
        await self._release.client.call("DELETE", self._release.path(plural, name))
        return ended - started

    def _bare(self) -> Json:
        """The pod that the operator would make, as nobody's: under another name, without labels and owner."""
        name = f"bare-{next(self._numbers)}"
        example = task(name, **SPEC)
        example["metadata"] |= {"namespace": self._release.kube.namespace, "uid": str(uuid.uuid4())}
        found = parse.task(example)
        self._release.prepare(found.metadata.uid, contract.dump(pods.assignment(found, 1, self._settings)))
        body = pods.pod(found, 1, {}, self._settings)
        return body | {"metadata": {"name": name}}


async def measure(count: int) -> bool:
    """Pairs by turns; which comes first alternates. True when the bound is kept."""
    tasks: list[float] = []
    bare: list[float] = []
    async with released() as where, Watcher(where, names.TASK_PLURAL) as seen, Watcher(where, "pods") as pod:
        pairs = Pairs(where, seen, pod)
        await pairs.task()
        await pairs.pod()
        for number in range(count):
            kinds = [(tasks, pairs.task), (bare, pairs.pod)]
            for times, run in kinds if number % 2 else reversed(kinds):
                times.append(await run())
            print(f"pair {number + 1}: task {tasks[-1]:.2f} s, bare pod {bare[-1]:.2f} s", flush=True)
    return report("cold_task", statistics.median(tasks), statistics.median(bare))


def main() -> int:
    """Measure, and compare with the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    return 0 if asyncio.run(measure(parser.parse_args().pairs)) else 1


if __name__ == "__main__":
    sys.exit(main())
