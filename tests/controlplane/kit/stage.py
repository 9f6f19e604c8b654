"""One pod as a play sees it: what a kubelet can do with it, and how it is stopped."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from cluster.harness.errors import ApiError
from querytask_worker.contract import TERMINATION_BYTES, Outcome, dump
from tests.controlplane.kit import podstatus
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.script import Scene
from tests.controlplane.kit.worker import ScriptedWorker, now

RETRY_SECONDS = 0.1


class Gone(Exception):
    """The pod's object is not there any more."""


class Stopped(Exception):
    """SIGTERM: the pod was deleted, or has been active for longer than its deadline."""

    def __init__(self, *, deleted: bool, grace: float) -> None:
        super().__init__("deleted" if deleted else "deadline")
        self.deleted, self.grace = deleted, grace


@dataclass
class Stage:
    """A pod, the worker in it (``None`` for a pod that is no QueryTask's) and the node that it is on."""

    client: Client
    pod: Json
    scene: Scene
    worker: ScriptedWorker | None
    node: str
    started: dt.datetime | None = None
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, pod: Json) -> None:
        """The pod as the watch has it now."""
        self.pod = pod
        self.changed.set()

    # what a kubelet tells

    async def bind(self) -> None:
        """Give the pod its node, as the scheduler does."""
        if self.node and not self.pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
            body = {"metadata": {"name": self._name}, "target": target}
            await self.insist("POST", f"{self._path}/binding", body)

    async def run(self) -> None:
        """Start the container."""
        self.started = now()
        await self.status(podstatus.running(self.pod, self.started))

    async def exit(
        self, code: int, *, outcome: Outcome | None = None, reason: str = "", **status: Any
    ) -> None:
        """End the container."""
        self.ended = True
        message = dump(outcome)[:TERMINATION_BYTES].decode("utf-8", "ignore") if outcome else ""
        ended = podstatus.terminated(self.pod, code, self.started, reason=reason, message=message)
        await self.status(ended | status)

    async def status(self, status: Json) -> None:
        """Merge into the pod's status."""
        await self.insist("PATCH", f"{self._path}/status", {"status": status})

    async def event(self, reason: str, message: str) -> None:
        """An Event about the pod, of the kind that a kubelet writes."""
        metadata = self.pod["metadata"]
        moment = podstatus.text(now())
        about = {"apiVersion": "v1", "kind": "Pod"} | {
            key: metadata[key] for key in ("name", "namespace", "uid")
        }
        body = {
            "metadata": {"generateName": "kubelet-", "namespace": metadata["namespace"]},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "type": "Warning",
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": "kubelet"},
        }
        await self.insist("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", body)

    async def remove(self) -> None:
        """Take the object away: the last word of a kubelet, and what a force delete does."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod["metadata"]["uid"]}}
        await self.insist("DELETE", self._path, body)

    # how it is stopped

    async def work(self, seconds: float) -> None:
        """Let time pass; raises ``Stopped``."""
        try:
            async with asyncio.timeout(seconds):
                raise await self.stopped()
        except TimeoutError:
            return

    async def stopped(self) -> Stopped:
        """Wait for SIGTERM."""
        while True:
            if (stop := self.due()) is not None:
                return stop
            self.changed.clear()
            try:
                async with asyncio.timeout(self._deadline_in()):
                    await self.changed.wait()
            except TimeoutError:
                continue

    def due(self) -> Stopped | None:
        """The stop that is due now."""
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        if "deletionTimestamp" in metadata:
            return Stopped(deleted=True, grace=float(metadata.get("deletionGracePeriodSeconds") or 0))
        left = self._deadline_in()
        if left is not None and left <= 0:
            return Stopped(deleted=False, grace=float(spec.get("terminationGracePeriodSeconds", 30)))
        return None

    @property
    def deleting(self) -> bool:
        """Whether somebody has deleted the pod."""
        return "deletionTimestamp" in self.pod["metadata"]

    def _deadline_in(self) -> float | None:
        seconds, start = (
            self.pod["spec"].get("activeDeadlineSeconds"),
            self.pod.get("status", {}).get("startTime"),
        )
        if seconds is None or start is None:
            return None
        due = dt.datetime.fromisoformat(start) + dt.timedelta(seconds=seconds)
        return (due - now()).total_seconds()

    # the wire

    async def insist(self, method: str, path: str, body: Json) -> None:
        """One request, repeated for as long as the API server is away; raises ``Gone`` when the pod is."""
        while True:
            try:
                await self.client.call(method, path, body)
            except (OSError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)
            except ApiError as error:
                if error.status in (404, 409, 403):
                    raise Gone from error
                if error.status < 500 and error.status != 429:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    @property
    def _name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/pods/{self._name}"
