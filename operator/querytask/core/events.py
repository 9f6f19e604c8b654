"""The Kubernetes Event of one transition, as ``kubectl describe`` and ``kubectl events`` show it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from querytask import names
from querytask.api import bounds
from querytask.api.metadata import condition
from querytask.api.task import QueryTask
from querytask.api.task_status import TaskStatus
from querytask.core import clock
from querytask.core.podstate import PodState
from querytask.names import Condition, Phase, Reason

MESSAGE_BYTES = 1024
"""What the API server takes of an Event's message."""
_WARNINGS = frozenset(
    {
        Reason.SOURCE_NOT_FOUND,
        Reason.SOURCE_NOT_READY,
        Reason.QUOTA_EXCEEDED,
        Reason.POD_REJECTED,
        Reason.BACKING_OFF,
        Reason.CANCEL_TIMEOUT,
    }
)


def transition(old: TaskStatus, new: TaskStatus) -> bool:
    """Whether the step from ``old`` to ``new`` is one to tell of."""
    return (old.phase, old.reason, old.attempt) != (new.phase, new.reason, new.attempt)


def news(task: QueryTask, status: TaskStatus, now: dt.datetime, reporter: str) -> list[dict[str, Any]]:
    """The Events of the step from the task's own status to ``status``: of its phase and reason, and of
    conditions that were not there before."""
    told = [event(task, status, now, reporter)] if transition(task.status, status) else []
    for kind in (Condition.STALLED, Condition.LONG_RUNNING):
        found = condition(status.conditions, kind)
        if found is not None and condition(task.status.conditions, kind) is None:
            told.append(_event(task, (status.attempt or 0, kind), True, kind, found.message, now, reporter))
    return told


def event(task: QueryTask, status: TaskStatus, now: dt.datetime, reporter: str) -> dict[str, Any]:
    """The Event that tells of ``status``; its name follows from what it tells, so that it is told once."""
    warning = status.phase is Phase.FAILED or status.reason in _WARNINGS
    message = f"{status.phase}: {status.message}"
    parts = (status.attempt or 0, status.phase, status.reason)
    return _event(task, parts, warning, str(status.reason), message, now, reporter)


def forced(task: QueryTask, pod: PodState, now: dt.datetime, reporter: str) -> dict[str, Any]:
    """The Event of a pod that was removed without a kubelet's word: that is never done silently."""
    message = f"pod {pod.name} was removed by force: its node {pod.node} is gone for good"
    return _event(task, (pod.attempt, "ForceDeleted"), True, "ForceDeleted", message, now, reporter)


def of_operator(
    namespace: str, pod: str, uid: str, reason: str, message: str, now: dt.datetime
) -> dict[str, Any]:
    """A Warning about the operator itself: it hangs on its pod, and tells the same of one moment once."""
    about = {"apiVersion": "v1", "kind": "Pod", "name": pod, "namespace": namespace, "uid": uid}
    name = names.event_name(uid, reason, clock.second(now))
    return _body(about, name, True, reason, message, now, pod)


def _event(
    task: QueryTask,
    parts: tuple[object, ...],
    warning: bool,
    reason: str,
    message: str,
    now: dt.datetime,
    reporter: str,
) -> dict[str, Any]:
    uid, namespace = task.metadata.uid, task.metadata.namespace
    about = {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "name": task.metadata.name,
        "namespace": namespace,
        "uid": uid,
    }
    return _body(about, names.event_name(uid, *parts), warning, reason, message, now, reporter)


def _body(
    about: dict[str, str],
    name: str,
    warning: bool,
    reason: str,
    message: str,
    now: dt.datetime,
    reporter: str,
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about["namespace"]},
        "involvedObject": about,
        "type": "Warning" if warning else "Normal",
        "reason": str(reason),
        "message": bounds.text(message, MESSAGE_BYTES),
        "firstTimestamp": clock.second(now),
        "lastTimestamp": clock.second(now),
        "count": 1,
        "source": {"component": names.MANAGER},
        "reportingComponent": f"{names.GROUP}/{names.MANAGER}",
        "reportingInstance": reporter[:128],
    }
