"""What is still owed to a task that has its end: its pods go once they are recorded and no longer kept, and
the object when its time has come."""

from __future__ import annotations

import datetime as dt
import math

from querytask.core import clock, status
from querytask.core.observed import Observed
from querytask.core.plan import AttemptNote, Plan, SlotUse
from querytask.core.podstate import PodState
from querytask.names import TERMINAL_PHASES, Phase
from querytask.settings import Settings


def aftercare(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Delete the pods and, after ``ttlAfterFinished``, the object; the status stays as it is."""
    if not o.task.finished:
        return None
    waits = {
        pod.name: _pod_wait(pod, o, now, settings) for pod in o.pods if not pod.gone and not pod.deleting
    }
    due = tuple(pod for pod in o.pods if waits.get(pod.name, math.inf) <= 0)
    ttl = _ttl_wait(o, now)
    later = min((wait for wait in (*waits.values(), ttl) if wait > 0), default=math.inf)
    return Plan(
        status.recorded(o, now),
        SlotUse.NONE,
        note=_untold(o) or _exit_seen(o),
        delete_pods=due,
        delete_task=ttl <= 0 and o.task.metadata.deletion_timestamp is None,
        again_after=None if later == math.inf else later,
    )


def _untold(o: Observed) -> AttemptNote | None:
    """How the last attempt ended, for a history that could not be written when it did."""
    shown, pod = o.task.status, o.pod
    if not o.attempt or o.memory.phase in TERMINAL_PHASES:
        return None
    return AttemptNote(
        number=o.attempt,
        granted_at=o.granted_at,
        started_at=shown.started_at,
        finished_at=o.remembered.attempt_finished_at or shown.completed_at,
        reason=shown.reason,
        message=shown.message or "",
        exit_code=pod.terminated.exit_code if pod and pod.terminated else None,
        node=pod.node if pod else None,
        pod_name=shown.pod_name,
    )


def _exit_seen(o: Observed) -> AttemptNote | None:
    """The exit code of a container that was seen to end only after its task had: the manifest is there
    first."""
    pod = o.pod
    if pod is None or pod.terminated is None or not o.attempt or o.memory.attempt != o.attempt:
        return None
    if o.memory.attempt_exit_code is not None:
        return None
    return AttemptNote(number=o.attempt, exit_code=pod.terminated.exit_code, node=pod.node, pod_name=pod.name)


def _pod_wait(pod: PodState, o: Observed, now: dt.datetime, settings: Settings) -> float:
    """Seconds until the pod may go; one that still runs gets the grace of a stop first."""
    completed = o.task.status.completed_at or now
    if not pod.ended:
        kept = float(settings.stop_grace_seconds)
    elif settings.keep_finished_pods == "All" or (
        settings.keep_finished_pods == "Failed" and _failed(pod, o)
    ):
        kept = settings.kept_pod_seconds
    else:
        kept = 0.0
    return (clock.after(completed, kept) - now).total_seconds()


def _failed(pod: PodState, o: Observed) -> bool:
    """Whether the pod is that of a failure: of a failed task, or of an attempt that was lost."""
    return o.task.status.phase is Phase.FAILED or (
        pod.attempt < o.attempt and o.task.status.phase is not Phase.CANCELLED
    )


def _ttl_wait(o: Observed, now: dt.datetime) -> float:
    ttl, completed = o.task.spec.ttl_after_finished, o.task.status.completed_at
    if ttl is None or completed is None:
        return math.inf
    return (clock.after(completed, ttl) - now).total_seconds()
