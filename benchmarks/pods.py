"""A kubelet whose pods end at once: one watch, and for each new pod one write.

As little as a kubelet can do, so that a comparison of controllers compares these. For the pod of a QueryTask
it also leaves in the mailbox what a worker leaves, with the worker's own code.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from querytask import names
from tests.controlplane.kit import podstatus
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.worker import ScriptedWorker


@dataclass
class InstantKubelet:
    """Ends the pods of ``namespace``; ``exports`` is the root of the exports volume."""

    client: Client
    namespace: str
    exports: Path

    async def run(self) -> None:
        """Until cancelled; raises what went wrong with a pod."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        async with asyncio.TaskGroup() as group:
            async for kind, pod in self.client.watch(path, fieldSelector="status.phase=Pending"):
                if kind == "ADDED":
                    group.create_task(self._end(path, pod))

    async def _end(self, path: str, pod: Json) -> None:
        labels = pod["metadata"].get("labels", {})
        if names.TASK_UID_LABEL in labels:
            await asyncio.to_thread(self._work, labels)
        status = podstatus.terminated(pod, 0, dt.datetime.now(dt.UTC))
        await self.client.call("PATCH", f"{path}/{pod['metadata']['name']}/status", {"status": status})

    def _work(self, labels: dict[str, str]) -> None:
        directory = self.exports / self.namespace / labels[names.TASK_UID_LABEL]
        worker = ScriptedWorker(directory, int(labels[names.ATTEMPT_LABEL]))
        worker.start()
        worker.publish(rows=1)
        worker.end(0)
