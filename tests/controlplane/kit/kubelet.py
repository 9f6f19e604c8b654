"""The scripted kubelet: one watch on the pods of a namespace, and for each pod a play instead of containers.

It uses the API as a kubelet and a scheduler do (binding, status, final delete), with rights of its own, and
keeps trying while the API server is away. It honours what stops a pod: a delete with its grace period, a
forced delete, and ``activeDeadlineSeconds``, which it looks at without the second's delay of a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from querytask import names
from tests.controlplane.kit import script
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.plays import PLAYS, obey
from tests.controlplane.kit.script import Scene
from tests.controlplane.kit.stage import Gone, Stage, Stopped
from tests.controlplane.kit.worker import ScriptedWorker

log = logging.getLogger(__name__)
WORKERS = f"{names.APP_LABEL}={names.WORKER_APP}"
NODE = "node-1"


@dataclass
class Kubelet:
    """Plays for the pods of ``namespace`` that the label ``selector`` picks.

    Attributes:
        exports: the root of the exports volume; ``None`` where the pods are no QueryTasks' workers.
        node: what pods are bound to; empty to leave out the binding.
        default: the scene of a pod whose task has no script.
        played: every play that began, as (name of the pod, name of the play), in order.
        faults: plays that failed themselves: a fault of the test.
    """

    client: Client
    namespace: str
    exports: Path | None
    selector: str = WORKERS
    node: str = NODE
    default: Scene = script.SUCCEED
    played: list[tuple[str, str]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    _stages: dict[str, Stage] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Play until cancelled."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        try:
            async for kind, pod in self.client.watch(path, labelSelector=self.selector):
                if kind != "GAP":
                    self._seen(kind, pod)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _seen(self, kind: str, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            if (task := self._tasks.pop(uid, None)) is not None:
                task.cancel()  # the object is gone, so the kubelet kills the container
            self._stages.pop(uid, None)
        elif uid in self._stages:
            self._stages[uid].see(pod)
            if uid not in self._tasks and "deletionTimestamp" in pod["metadata"]:
                self._start(uid, self._last_word(self._stages[uid]))
        elif pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            stage = self._stages[uid] = self._stage(pod)
            self._start(uid, self._play(stage))

    def _start(self, uid: str, work: Coroutine[None, None, None]) -> None:
        task = self._tasks[uid] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(uid, None))

    def _stage(self, pod: Json) -> Stage:
        labels = pod["metadata"].get("labels", {})
        uid = labels.get(names.TASK_UID_LABEL)
        if self.exports is None or uid is None:
            return Stage(self.client, pod, self.default, None, self.node)
        attempt = int(labels[names.ATTEMPT_LABEL])
        worker = ScriptedWorker(self.exports / self.namespace / uid, attempt)
        text = worker.assignment.sql if worker.assignment is not None else ""
        return Stage(self.client, pod, script.read(text, attempt, self.default), worker, self.node)

    async def _play(self, stage: Stage) -> None:
        self.played.append((stage.pod["metadata"]["name"], stage.scene.play))
        try:
            await self._to_its_end(stage)
        except Gone:
            pass
        except Exception as error:
            log.exception("the play %s has failed", stage.scene.play)
            self.faults.append(error)

    async def _to_its_end(self, stage: Stage) -> None:
        try:
            await PLAYS[stage.scene.play](stage)
        except Stopped as stop:
            await obey(stage, stop)
        await asyncio.sleep(0)
        if stage.deleting:
            await self._last_word(stage)

    async def _last_word(self, stage: Stage) -> None:
        with contextlib.suppress(Gone):
            await stage.remove()
