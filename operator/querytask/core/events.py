"""The Kubernetes Event of one transition, as ``kubectl describe`` and ``kubectl events`` show it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from querytask import names
from querytask.api import bounds
from querytask.api.task import QueryTask
from querytask.api.task_status import TaskStatus
from querytask.core import clock
from querytask.names import Phase, Reason

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


def event(task: QueryTask, status: TaskStatus, now: dt.datetime, reporter: str) -> dict[str, Any]:
    """The Event that tells of ``status``; its name follows from what it tells, so that it is told once."""
    uid, namespace = task.metadata.uid, task.metadata.namespace
    warning = status.phase is Phase.FAILED or status.reason in _WARNINGS
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": names.event_name(uid, status.attempt or 0, status.phase, status.reason),
            "namespace": namespace,
        },
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.TASK_KIND,
            "name": task.metadata.name,
            "namespace": namespace,
            "uid": uid,
        },
        "type": "Warning" if warning else "Normal",
        "reason": str(status.reason),
        "message": bounds.text(f"{status.phase}: {status.message}", MESSAGE_BYTES),
        "firstTimestamp": clock.second(now),
        "lastTimestamp": clock.second(now),
        "count": 1,
        "source": {"component": names.MANAGER},
        "reportingComponent": f"{names.GROUP}/{names.MANAGER}",
        "reportingInstance": reporter[:128],
    }
