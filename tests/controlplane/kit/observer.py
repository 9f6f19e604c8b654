"""Watches tasks, pods and Events of one namespace by itself, holds every event to the invariants, and tells
the story of a task when a test fails.

Also what tests wait with: it wakes them at every event, so that nobody polls the API server.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from querytask import names
from querytask.names import Phase
from tests.controlplane.kit import invariants
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.invariants import Version
from tests.controlplane.kit.kubelet import WORKERS

T = TypeVar("T")
QUIET_SECONDS = 0.5


@dataclass
class Observer:
    """What was seen of ``namespace``; ``exports`` is the root of the exports volume."""

    client: Client
    namespace: str
    exports: Path
    tasks: dict[str, Json] = field(default_factory=dict)
    """The objects that are there, by name."""
    pods: dict[str, Json] = field(default_factory=dict)
    """The worker pods that are there, by name."""
    events: list[Json] = field(default_factory=list)
    """The Events about tasks, as they came."""
    violations: list[str] = field(default_factory=list)
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    """All versions of each task, by uid, deleted ones too."""
    _told: list[tuple[float, str, str]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _checks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Watch until cancelled."""
        core, custom = f"/api/v1/namespaces/{self.namespace}", f"/apis/{names.API_VERSION}/namespaces"
        async with asyncio.TaskGroup() as group:
            tasks = f"{custom}/{self.namespace}/{names.TASK_PLURAL}"
            group.create_task(self._follow(tasks, self._task))
            group.create_task(self._follow(f"{core}/pods", self._pod, labelSelector=WORKERS))
            about = f"involvedObject.kind={names.TASK_KIND}"
            group.create_task(self._follow(f"{core}/events", self._event, fieldSelector=about))

    async def _follow(self, path: str, take: Callable[[str, Json, bool], None], **selectors: str) -> None:
        gaps: set[str] = set()
        known: set[str] = set()
        async for kind, item in self.client.watch(path, **selectors):
            if kind == "GAP":
                gaps = set(known)
                continue
            uid = item["metadata"]["uid"]
            known.add(uid)
            with self._changed:
                take(kind, item, uid in gaps)
                gaps.discard(uid)
                self._changed.notify_all()

    # what is seen

    def _task(self, kind: str, task: Json, gap: bool) -> None:
        uid, name = task["metadata"]["uid"], task["metadata"]["name"]
        if kind == "DELETED":
            if self.tasks.get(name, task)["metadata"]["uid"] == uid:
                self.tasks.pop(name, None)
            self._tell(uid, "the object is gone")
            return
        version = Version(time.monotonic(), task)
        before = self.versions[uid]
        self.tasks[name] = task
        if before:
            for fault in invariants.of_change(before[-1], version, gap=gap):
                self._violated(uid, fault)
        if not before or before[-1].step != version.step or before[-1].task["spec"] != task["spec"]:
            self._tell(uid, f"{name} is {version.step}: {version.status.get('message', '')}")
        before.append(version)
        for fault in invariants.of_rest(before):
            self._violated(uid, fault)
        if version.phase in names.TERMINAL_PHASES and (len(before) < 2 or before[-2].phase != version.phase):
            self._ended(uid, version)

    def _pod(self, kind: str, pod: Json, gap: bool) -> None:
        name = pod["metadata"]["name"]
        uid = pod["metadata"]["labels"].get(names.TASK_UID_LABEL, "")
        if kind == "DELETED":
            self.pods.pop(name, None)
            self._tell(uid, f"pod {name} is gone")
            return
        self.pods[name] = pod
        for fault in invariants.of_pods(self.pods_of(uid)):
            self._violated(uid, fault)
        status = pod.get("status", {})
        state = [next(iter(item["state"]), "") for item in status.get("containerStatuses", ())]
        asked = "being deleted" if "deletionTimestamp" in pod["metadata"] else ""
        self._tell(uid, f"pod {name} {status.get('phase')} {status.get('reason', '')} {state} {asked}")

    def _event(self, kind: str, event: Json, gap: bool) -> None:
        if kind == "MODIFIED":
            name = event["metadata"]["name"]
            self._violated(event["involvedObject"]["uid"], f"the Event {name} was told twice")
        if kind != "ADDED":
            return
        self.events.append(event)
        self._tell(event["involvedObject"]["uid"], f"Event {event['reason']}: {event['message']}")

    # ends

    def _ended(self, uid: str, version: Version) -> None:
        manifest = self.exports / self.namespace / uid / "_manifest.json"
        state = version.status.get("export", {}).get("state")
        if version.phase == Phase.SUCCEEDED and state != "Expired" and not manifest.exists():
            self._violated(uid, "Succeeded must not be said without a manifest")
        if version.phase != Phase.SUCCEEDED:
            check = asyncio.get_running_loop().create_task(self._no_pod_lives(uid, version.phase))
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)

    async def _no_pod_lives(self, uid: str, phase: str) -> None:
        """A pod that lives now lived when the end was written, too: an ended one never comes back."""
        try:
            pods, _ = await self.client.list(
                f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=f"{names.TASK_UID_LABEL}={uid}"
            )
        except OSError:
            return
        if alive := invariants.living(pods):
            with self._changed:
                self._violated(uid, f"{phase} must not be said while a pod lives: {', '.join(alive)}")

    # what tests ask

    def wait(self, look: Callable[[], T], timeout: float, *, what: str, told: Callable[[], str]) -> T:
        """The first true answer of ``look``, which is asked at every event."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (answer := look()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not within {timeout:g} s: {what}\n{told()}")
                self._changed.wait(min(left, 1.0))
        return answer

    def pause(self, seconds: float) -> None:
        """Wait for the next event, or so long."""
        with self._changed:
            self._changed.wait(seconds)

    def pods_of(self, uid: str) -> list[Json]:
        """The pods of a task that are there, the oldest attempt first."""
        own = [
            pod for pod in self.pods.values() if pod["metadata"]["labels"].get(names.TASK_UID_LABEL) == uid
        ]
        return sorted(own, key=lambda pod: int(pod["metadata"]["labels"][names.ATTEMPT_LABEL]))

    def steps(self, uid: str) -> list[tuple[str, str, int]]:
        """The steps that a task has gone, as (phase, reason, attempt)."""
        found: list[tuple[str, str, int]] = []
        for version in self.versions[uid]:
            step = version.step[:3]
            if version.status and (not found or found[-1] != step):
                found.append(step)
        return found

    def events_of(self, uid: str) -> list[Json]:
        """The Events about one task."""
        return [event for event in self.events if event["involvedObject"]["uid"] == uid]

    def story(self, *uids: str) -> str:
        """What happened, to the tasks of these uids or to all, with seconds since the first event."""
        with self._changed:
            start = self._told[0][0] if self._told else 0.0
            shown = [(at, text) for at, uid, text in self._told if not uids or uid in uids]
        return "\n".join(f"{at - start:8.3f}  {text}" for at, text in shown[-60:])

    def at_rest(self) -> list[str]:
        """What is wrong once nothing moves: a result that nobody tells of, pods of a task that has ended."""
        faults = []
        for name, task in self.tasks.items():
            uid, phase = task["metadata"]["uid"], task.get("status", {}).get("phase")
            published = (self.exports / self.namespace / uid / "_manifest.json").exists()
            if published and phase != Phase.SUCCEEDED:
                faults.append(f"{name} has a manifest and is {phase}")
            if phase in names.TERMINAL_PHASES and (alive := invariants.living(self.pods_of(uid))):
                faults.append(f"{name} is {phase} and has live pods: {', '.join(alive)}")
        return faults

    def _tell(self, uid: str, text: str) -> None:
        self._told.append((time.monotonic(), uid, text))

    def _violated(self, uid: str, fault: str) -> None:
        self._tell(uid, f"VIOLATED: {fault}")
        self.violations.append(f"task {uid}: {fault}")


def condition(task: Json, kind: str) -> dict[str, Any]:
    """A condition of a task; empty where it has none of that type."""
    found = task.get("status", {}).get("conditions", ())
    return next((item for item in found if item["type"] == kind), {})
