"""The parts of a pod's status that a kubelet writes, as JSON. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

Json = dict[str, Any]
DEADLINE = "Pod was active on the node longer than the specified deadline"


def text(moment: dt.datetime) -> str:
    """A time as the API server writes it: whole seconds."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, truth: bool, reason: str = "", message: str = "") -> Json:
    """One condition of a pod."""
    return {
        "type": kind,
        "status": "True" if truth else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": text(dt.datetime.now(dt.UTC)),
    }


def container(pod: Json, state: Json) -> list[Json]:
    """``containerStatuses`` of a pod with one container."""
    only = pod["spec"]["containers"][0]
    ready = "running" in state
    return [
        {
            "name": only["name"],
            "image": only["image"],
            "imageID": "scripted",
            "containerID": f"scripted://{pod['metadata']['uid']}",
            "ready": ready,
            "started": ready,
            "restartCount": 0,
            "state": state,
        }
    ]


def running(pod: Json, started: dt.datetime) -> Json:
    """The container runs."""
    return {
        "phase": "Running",
        "startTime": text(started),
        "hostIP": "192.0.2.1",
        "podIP": "192.0.2.2",
        "conditions": [condition("PodScheduled", True), condition("PodReadyToStartContainers", True)],
        "containerStatuses": container(pod, {"running": {"startedAt": text(started)}}),
    }


def waiting(pod: Json, reason: str, message: str = "") -> Json:
    """The container does not run, for a reason that only the kubelet knows."""
    return {
        "phase": "Pending",
        "startTime": text(dt.datetime.now(dt.UTC)),
        "conditions": [condition("PodScheduled", True)],
        "containerStatuses": container(pod, {"waiting": {"reason": reason, "message": message}}),
    }


def terminated(
    pod: Json, code: int, started: dt.datetime | None, *, reason: str = "", message: str = ""
) -> Json:
    """The container has ended; the phase follows from the exit code."""
    ended = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "message": message,
        "finishedAt": text(dt.datetime.now(dt.UTC)),
    } | ({"startedAt": text(started)} if started else {})
    return {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": container(pod, {"terminated": ended}),
    }
