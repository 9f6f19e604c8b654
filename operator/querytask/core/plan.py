"""What is to be done about one task: the answer of ``decide``, carried out by the reconciler in the order of
the fields below."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

from querytask.api.task_status import TaskStatus
from querytask.core.conclusion import End
from querytask.core.podstate import PodState


class SlotUse(enum.Enum):
    """What the task does with a slot."""

    HOLD = "has one, or a pod that counts as one"
    WANT = "stands in the line"
    NONE = "needs none"


@dataclass(frozen=True, slots=True)
class AttemptNote:
    """What the history is to know of an attempt."""

    number: int
    granted_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    reason: str | None = None
    message: str = ""
    exit_code: int | None = None
    node: str | None = None
    pod_name: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """A pod to be stopped, and the value of the annotation that says why: ``cancel`` or ``timeout``."""

    pod: PodState
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step. First the history takes status and note, then the mailbox and the cluster, then the
    object its status."""

    status: TaskStatus
    slot: SlotUse
    note: AttemptNote | None = None
    end: End | None = None
    """How the attempt ended, when this step concludes that."""
    start: int | None = None
    """Number of the attempt whose assignment and pod are to be made."""
    stop: Stop | None = None
    delete_pods: tuple[PodState, ...] = ()
    force_pods: tuple[PodState, ...] = ()
    """Pods whose node is gone for good: their objects are removed without a kubelet's word."""
    delete_task: bool = False
    again_after: float | None = None
    """Seconds until the task is to be looked at again, whatever happens."""
