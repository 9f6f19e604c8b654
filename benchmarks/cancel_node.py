"""Cancels queries in the midst of their work on the real node, one at a time, and says where the time goes.
For ``cancel``.

The parts are read from what was seen: the stop on the pod and its end by a watcher of pods, SIGTERM and the
end of the worker in its own report. All clocks are those of one machine on the embedded node; on another
cluster the parts are as good as its clocks agree, the whole is always this machine's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import statistics
import time
from dataclasses import dataclass, field

from benchmarks.node import Release, Watcher, brief, phase, released
from benchmarks.plane import task
from benchmarks.worker_interrupt import COPIED, ORDINARY, STUBBORN
from querytask import names
from querytask.api import parse
from querytask.core import pods
from querytask_worker.contract import Outcome, load
from tests.controlplane.kit.client import Json

FIRST_MOMENT, LAST_MOMENT = 0.5, 2.0
"""Seconds after the phase Running was seen, between which the requests are spread."""
PARTS = (
    "operator: stop the pod",
    "kubelet: SIGTERM",
    "worker: stop and report",
    "kubelet: tell the end",
    "operator: Cancelled",
)
ENDED = phase("Succeeded", "Failed", "Cancelled")
ENDS_AT_ONCE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
STUBBORN_ROUNDS = 2


@dataclass(frozen=True)
class Cancelled:
    """Seconds from the request to Cancelled, and of each of the ``PARTS``."""

    whole: float
    parts: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """Seconds of each cancellation by its kind, and of bare pods."""

    ordinary: list[float] = field(default_factory=list)
    stubborn: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


class Node:
    """Tasks on one release; watchers see everything from the start."""

    def __init__(self, where: Release, tasks: Watcher, seen: Watcher) -> None:
        self._release, self._tasks, self._pods = where, tasks, seen
        self._settings = where.settings()

    async def cancel(self, name: str, moment: float, body: Json) -> Cancelled:
        """Run a task, cancel it ``moment`` seconds after it was seen to run, and wait for its end."""
        made = await self._release.client.call("POST", self._release.path(names.TASK_PLURAL), body)
        pod = names.pod_name(made["metadata"]["uid"], 1)
        await self._tasks.until(name, phase("Running", *names.TERMINAL_PHASES))
        await asyncio.sleep(moment)
        asked = time.time()
        path = self._release.path(names.TASK_PLURAL, name)
        await self._release.client.call("PATCH", path, {"spec": {"cancel": True}})
        over = await self._tasks.until(name, ENDED)
        _, last = self._tasks.of(name).versions[-1]
        if last["status"]["phase"] != "Cancelled":
            raise RuntimeError(f"{name} must be cancelled, not end as {brief(last)}")
        found = Cancelled(over - asked, await self._parts(pod, asked, over))
        await self._release.client.call("DELETE", path)
        return found

    async def _parts(self, pod: str, asked: float, over: float) -> tuple[float, ...]:
        stopped = await self._pods.until(pod, _has_stop)
        ended = await self._pods.until(pod, lambda item: _termination(item) is not None)
        _, last = next(version for version in self._pods.of(pod).versions if _termination(version[1]))
        told = load(Outcome, str(_termination(last)))
        if told.stop is None:
            raise RuntimeError(f"{pod} must have been stopped, not have ended with {told.reason}")
        signalled, reported = _seconds(told.stop.requested_at), _seconds(told.finished_at)
        moments = (asked, stopped, signalled, reported, ended, over)
        return tuple(later - earlier for earlier, later in itertools.pairwise(moments))

    async def stop_bare_pod(self, name: str) -> float:
        """Seconds from the same PATCH to the end of a pod that ends at once, as a watcher sees it."""
        path = self._release.path("pods")
        await self._release.client.call("POST", path, self._bare(name))
        await self._pods.until(name, phase("Running"))
        await asyncio.sleep(FIRST_MOMENT)
        asked = time.time()
        body = {"spec": {"activeDeadlineSeconds": 1}}
        await self._release.client.call("PATCH", f"{path}/{name}", body)
        ended = await self._pods.until(name, lambda item: _terminated(item) is not None)
        await self._release.client.call("DELETE", f"{path}/{name}")
        return ended - asked

    def _bare(self, name: str) -> Json:
        example = task(name)
        example["metadata"] |= {"namespace": self._release.kube.namespace, "uid": "0" * 36}
        body = pods.pod(parse.task(example), 1, {}, self._settings)
        (container,) = body["spec"]["containers"]
        container |= {"command": ["python3", "-c", ENDS_AT_ONCE], "args": []}
        container["volumeMounts"] = [item for item in container["volumeMounts"] if item["name"] == "spill"]
        return body | {"metadata": {"name": name}}


def cases() -> dict[str, Json]:
    """The specs of the ordinary kinds."""
    room = {"cpu": "1", "memory": "2Gi", "spill": "8Gi"}
    found: dict[str, Json] = {name: {"sql": sql, "resources": room} for name, sql in ORDINARY.items()}
    found["export"] = {"sql": COPIED, "resources": room, "export": {}}
    return found


def stubborn_cases() -> dict[str, Json]:
    """The specs of those that hear no interrupt."""
    room = {"cpu": "1", "memory": "8Gi", "spill": "1Gi"}
    return {name: {"sql": sql, "resources": room} for name, sql in STUBBORN.items()}


async def measure(rounds: int) -> Found:
    """Cancel ``rounds`` queries of each ordinary kind and some of the others, told as tables."""
    found = Found()
    async with (
        released() as where,
        Watcher(where, names.TASK_PLURAL) as tasks,
        Watcher(where, "pods") as pod,
    ):
        node = Node(where, tasks, pod)
        for number in range(rounds):
            found.bare.append(await node.stop_bare_pod(f"bare-{number}"))
        print(f"{'request to Cancelled':<24} {'runs':>4} {'p50 s':>7} {'max s':>7}", flush=True)
        ordinary = await _kinds(node, cases(), rounds)
        stubborn = await _kinds(node, stubborn_cases(), min(rounds, STUBBORN_ROUNDS))
    found.ordinary.extend(item.whole for item in ordinary)
    found.stubborn.extend(item.whole for item in stubborn)
    _where(ordinary)
    return found


async def _kinds(node: Node, specs: dict[str, Json], rounds: int) -> list[Cancelled]:
    found = []
    for kind, spec in specs.items():
        runs = []
        for number in range(rounds):
            name = f"{kind.replace(' ', '-')}-{number}"
            moment = FIRST_MOMENT + (LAST_MOMENT - FIRST_MOMENT) * number / max(1, rounds - 1)
            runs.append(await node.cancel(name, moment, task(name, **spec)))
        wholes = [run.whole for run in runs]
        print(f"{kind:<24} {len(runs):>4} {statistics.median(wholes):7.2f} {max(wholes):7.2f}", flush=True)
        found += runs
    return found


def _where(runs: list[Cancelled]) -> None:
    slowest = max(runs, key=lambda run: run.whole)
    print(f"{'where the time goes':<24} {'':>4} {'p50 s':>7} {'slowest run s':>14}")
    for place, name in enumerate(PARTS):
        middle = statistics.median(run.parts[place] for run in runs)
        print(f"{name:<24} {'':>4} {middle:7.2f} {slowest.parts[place]:14.2f}", flush=True)


def _has_stop(pod: Json) -> bool:
    return names.STOP_ANNOTATION in pod["metadata"].get("annotations", {})


def _terminated(pod: Json) -> Json | None:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((item["state"]["terminated"] for item in statuses if "terminated" in item["state"]), None)


def _termination(pod: Json) -> str | None:
    ended = _terminated(pod)
    return None if ended is None else str(ended.get("message", ""))


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
