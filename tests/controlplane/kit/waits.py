"""Waiting for what becomes of a task, woken by the observer at every event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from querytask import names
from querytask.names import Phase
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.history import History
from tests.controlplane.kit.observer import Observer
from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.waiting import until

ENDS = tuple(sorted(names.TERMINAL_PHASES))
TIMEOUT = 20.0


class Waits:
    """The waits; a site brings what they look at."""

    namespace: str
    exports: Path
    observer: Observer
    history: History
    operators: list[OperatorProcess]

    def task(self, name: str) -> Json:
        """A task as the observer has it; empty when it is not there."""
        return self.observer.tasks.get(name, {})

    def reaches(
        self,
        name: str,
        *phases: str,
        reason: str | None = None,
        attempt: int | None = None,
        timeout: float = TIMEOUT,
    ) -> Json:
        """Wait until a task is in one of ``phases`` (in any end, where none is named)."""
        wanted = phases or ENDS

        def look() -> Json | None:
            status = self.task(name).get("status", {})
            fits = status.get("phase") in wanted and reason in (None, status.get("reason"))
            return self.task(name) if fits and attempt in (None, status.get("attempt")) else None

        what = f"{name} is {' or '.join(wanted)}" + (f", {reason}" if reason else "")
        found = self.observer.wait(look, timeout, what=what, told=self.story)
        assert found is not None
        return found

    def ends(self, name: str, phase: str, reason: str, *, timeout: float = TIMEOUT) -> Json:
        """Wait until a task has its end, and demand that it is this one; its status."""
        status: Json = self.reaches(name, timeout=timeout)["status"]
        assert (status["phase"], status["reason"]) == (phase, reason), (
            f"{status['phase']}, {status['reason']}: {status.get('message')}\n{self.story()}"
        )
        return status

    def succeeds(self, name: str, *, timeout: float = TIMEOUT) -> Json:
        """Wait until a task has succeeded."""
        return self.ends(name, Phase.SUCCEEDED, "Completed", timeout=timeout)

    def sees(self, look: Any, what: str, *, timeout: float = TIMEOUT) -> Any:
        """Wait until ``look`` is true, asking at every event about tasks and pods."""
        return self.observer.wait(look, timeout, what=what, told=self.story)

    def pod_of(self, task: Json, attempt: int = 1, *, node: bool = True) -> Json:
        """Wait for an attempt's pod, with its node."""
        name = names.pod_name(task["metadata"]["uid"], attempt)

        def look() -> Json | None:
            pod = self.observer.pods.get(name)
            return pod if pod is not None and (pod["spec"].get("nodeName") or not node) else None

        found = self.sees(look, f"pod {name} is there")
        assert isinstance(found, dict)
        return found

    def no_pods(self, task: Json) -> None:
        """Wait until no pod of a task is left."""
        uid = task["metadata"]["uid"]
        self.sees(lambda: not self.observer.pods_of(uid), f"no pod of {task['metadata']['name']} is left")

    def gone(self, task: Json) -> None:
        """Wait until a task's object was seen, and is gone."""
        name, uid = task["metadata"]["name"], task["metadata"]["uid"]

        def look() -> bool:
            there = self.observer.tasks.get(name, {}).get("metadata", {}).get("uid") == uid
            return uid in self.observer.versions and not there

        self.sees(look, f"the object {name} is gone")

    def row(self, task: Json, phase: str, *, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Wait until the history has a task in ``phase``; its row."""
        uid = task["metadata"]["uid"]

        def look() -> dict[str, Any] | None:
            found = self.history.task(uid)
            return found if found is not None and found["phase"] == phase else None

        found = until(look, timeout, what=f"the history has {phase}", told=self.story)
        assert found is not None
        return found

    def directory(self, task: Json) -> Path:
        """A task's directory."""
        return self.exports / self.namespace / str(task["metadata"]["uid"])

    def story(self) -> str:
        """What happened, and how the last operator's log ends."""
        return "\n".join((self.observer.story(), *(operator.story() for operator in self.operators[-1:])))
