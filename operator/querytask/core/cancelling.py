"""The clock of a cancellation: how long a stop may take, and what is said and done when it took longer.

A stop is one PATCH, and the kubelet does the rest within the pod's grace period. Only when grace and margin
are over does the watchdog act, always by the same steps: the history learns why, the pod is deleted, and once
a node is known to be gone for good, the pod's object is removed by force, which no kubelet has to confirm.
The time counts from ``status.cancel.requestedAt``, never from the start of the task.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from querytask.core import clock, conclusion
from querytask.core.conclusion import End
from querytask.core.observed import Observed
from querytask.names import CancelStep, Phase, Reason
from querytask.settings import Settings

OVERDUE = "the worker did not stop within its grace period; its pod was deleted"


def patience(settings: Settings) -> float:
    """Seconds that a stop may take: the pod's grace period and a margin for the kubelet to tell."""
    return settings.stop_grace_seconds + settings.timeout_margin_seconds


def left(asked: dt.datetime, now: dt.datetime, settings: Settings) -> float:
    """Seconds until a stop that was asked for at ``asked`` counts as failed; not above 0 when it does."""
    return (clock.after(asked, patience(settings)) - now).total_seconds()


def requested_at(o: Observed, now: dt.datetime) -> dt.datetime:
    """When the cancellation was asked for, as the object tells; ``now`` when this is the first look at it."""
    told = o.task.status.cancel
    return told.requested_at if told is not None else now


def overdue(o: Observed, now: dt.datetime, settings: Settings) -> bool:
    """Whether the object has been Cancelling for longer than a stop may take."""
    return o.task.status.phase is Phase.CANCELLING and left(requested_at(o, now), now, settings) <= 0


def named(o: Observed, end: End, now: dt.datetime, settings: Settings) -> End:
    """The end of a cancellation, which is CancelTimeout when it took the watchdog to bring it about: nobody
    knows of a stop that had worked in time."""
    if end.phase is not Phase.CANCELLED or not overdue(o, now, settings):
        return end
    if end.at is not None and left(requested_at(o, now), end.at, settings) > 0:
        return end  # it had stopped in time, and nobody was there to see it
    late = conclusion.cancelled(CancelStep.KILLED, end.at, Reason.CANCEL_TIMEOUT)
    return dataclasses.replace(late, outcome=end.outcome, message=OVERDUE)
