"""What a pod says of itself, read once from its raw JSON into a small frozen value that policies can ask.

For ``decide`` and its policies. Two rules of Kubernetes live here and nowhere else: a container has ended
when its state says ``terminated``, never when the pod's phase alone says ``Failed``; and a pod whose phase is
terminal and whose container never ran will not start it any more.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from querytask import names
from querytask.core import clock


@dataclass(frozen=True, slots=True)
class Terminated:
    """How the worker's container ended."""

    exit_code: int
    reason: str
    message: str
    finished_at: dt.datetime | None
    signal: int = 0


@dataclass(frozen=True, slots=True)
class PodState:
    """One attempt's pod, as last seen."""

    name: str
    uid: str
    owner_uid: str
    attempt: int
    created_at: dt.datetime
    version: int = 0
    """The object's resourceVersion: of two states of one pod the higher is the later."""
    phase: str = "Pending"
    node: str = ""
    reason: str = ""
    message: str = ""
    deleting: bool = False
    gone: bool = False
    """The object is known to be gone; the rest is what was last seen of it."""
    started_at: dt.datetime | None = None
    running: bool = False
    terminated: Terminated | None = None
    waiting_reason: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    """The scheduler's message, when it found no node."""
    gated: bool = False
    """Another system holds the pod back; its start clock does not run."""
    sandbox_ready: bool | None = None
    """Whether volumes are mounted and the sandbox is up; ``None`` where the kubelet does not say."""
    disruption: str = ""
    """Reason of the condition ``DisruptionTarget``, when it is true."""
    stop: str = ""
    """Value of the stop annotation: ``cancel``, ``timeout`` or nothing."""

    @property
    def ended(self) -> bool:
        """The container will never run (again)."""
        if self.gone or self.terminated is not None:
            return True
        return self.phase in ("Failed", "Succeeded") and not self.running

    @property
    def started(self) -> bool:
        """The container has started, whether or not it has ended."""
        return self.started_at is not None


def read(pod: dict[str, Any]) -> PodState:
    """The state of a raw pod that one of our operators made; labels that are missing read as attempt 0, which
    no task has."""
    metadata, status = pod["metadata"], pod.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    container = _container(status)
    state = container.get("state", {})
    waiting, terminated = state.get("waiting", {}), _terminated(state)
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    scheduled = conditions.get("PodScheduled", {})
    return PodState(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=owner_uid(pod),
        attempt=_number(labels.get(names.ATTEMPT_LABEL, "0")),
        created_at=clock.parse(metadata["creationTimestamp"]),
        version=int(metadata.get("resourceVersion", "0")),
        phase=status.get("phase", "Pending"),
        node=pod.get("spec", {}).get("nodeName", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        deleting="deletionTimestamp" in metadata,
        started_at=_started_at(state),
        running="running" in state,
        terminated=terminated,
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        unschedulable=_false(scheduled, "Unschedulable"),
        gated=scheduled.get("reason") == "SchedulingGated",
        sandbox_ready=_truth(conditions.get("PodReadyToStartContainers")),
        disruption=_disruption(conditions),
        stop=annotations.get(names.STOP_ANNOTATION, ""),
    )


def owner_uid(pod: dict[str, Any]) -> str:
    """Uid of the QueryTask that owns the pod; empty when none does."""
    for owner in pod["metadata"].get("ownerReferences", ()):
        if owner.get("kind") == names.TASK_KIND and owner.get("controller"):
            return str(owner["uid"])
    return ""


def _container(status: dict[str, Any]) -> dict[str, Any]:
    for item in status.get("containerStatuses", ()):
        if item.get("name") == names.WORKER_CONTAINER:
            return dict(item)
    return {}


def _terminated(state: dict[str, Any]) -> Terminated | None:
    ended = state.get("terminated")
    if ended is None:
        return None
    finished = ended.get("finishedAt")
    return Terminated(
        exit_code=int(ended.get("exitCode", 0)),
        reason=ended.get("reason", ""),
        message=ended.get("message", ""),
        finished_at=clock.parse(finished) if finished else None,
        signal=int(ended.get("signal", 0)),
    )


def _started_at(state: dict[str, Any]) -> dt.datetime | None:
    for part in ("running", "terminated"):
        if started := (state.get(part) or {}).get("startedAt"):
            moment = clock.parse(started)
            return (
                moment if moment.year > 1970 else None
            )  # what the kubelet writes when it never saw the start
    return None


def _false(condition: dict[str, Any], reason: str) -> str:
    if condition.get("status") == "False" and condition.get("reason") == reason:
        return str(condition.get("message", reason))
    return ""


def _truth(condition: dict[str, Any] | None) -> bool | None:
    return None if condition is None else condition.get("status") == "True"


def _disruption(conditions: dict[str, dict[str, Any]]) -> str:
    condition = conditions.get("DisruptionTarget", {})
    return str(condition.get("reason", "")) if condition.get("status") == "True" else ""


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
