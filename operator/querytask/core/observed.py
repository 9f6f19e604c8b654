"""All that is known of one task at one moment: what ``decide`` looks at, and the few questions that its
policies share.

Gathered by the reconciler, built by hand in tests. Frozen values only; nothing here asks anybody anything.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from querytask.api.metadata import condition
from querytask.api.task import QueryTask
from querytask.core.conclusion import Asked
from querytask.core.podstate import PodState
from querytask.names import Condition, Phase, Reason
from querytask_worker.contract import Error, Manifest, Outcome, Progress


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What the task's directory holds: the published manifest, and the current attempt's outcome and
    progress."""

    manifest: Manifest | None = None
    outcome: Outcome | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the history remembers: of the task, and of its last attempt. Empty for a task that it has never
    seen."""

    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    queued_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None
    error: Error | None = None
    cancel_step: str | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    """As the status has them."""
    attempt: int = 0
    first_granted_at: dt.datetime | None = None
    granted_at: dt.datetime | None = None
    attempt_reason: str | None = None
    """Why the attempt ended, or was given up; ``None`` while neither."""
    attempt_message: str = ""
    attempt_finished_at: dt.datetime | None = None
    attempt_exit_code: int | None = None
    deleted: bool = False
    """The object is said to be gone."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """Whether a source that the task names can be used; ``problem`` is the reason why not."""

    name: str
    problem: Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server said when the pod could not be created."""

    reason: Reason
    message: str
    at: dt.datetime


class Stage(enum.Enum):
    """Where the current attempt is."""

    NONE = "no attempt was granted yet"
    UNBORN = "granted, but there is no trace of a pod: it is to be created, again if need be"
    LIVE = "its pod is there and has not ended"
    ENDED = "its pod has ended or is gone, and nothing was concluded from it yet"
    CONCLUDED = "it was lost, that was recorded, and another attempt may follow"


@dataclass(frozen=True, slots=True)
class Observed:
    """One task, seen whole."""

    task: QueryTask
    pods: tuple[PodState, ...] = ()
    """Of this task's uid; one that is said to be gone was asked for and not found."""
    mailbox: Mailbox = field(default_factory=Mailbox)
    memory: Memory = field(default_factory=Memory)
    sources: tuple[SourceState, ...] = ()
    slot: bool = False
    refusal: Refusal | None = None
    mount_failure: str = ""
    """Message of the pod's last FailedMount Event; looked up only when its start is overdue."""

    node_gone: bool = False
    """The node of a pod that is being deleted exists no more; asked only when its stop is overdue."""

    @property
    def attempt(self) -> int:
        """Number of the current attempt; 0 when there was none."""
        return max(self.task.status.attempt or 0, self.memory.attempt, *(pod.attempt for pod in self.pods), 0)

    @property
    def pod(self) -> PodState | None:
        """The current attempt's pod, as far as it is known."""
        return next((pod for pod in self.pods if pod.attempt == self.attempt), None)

    @property
    def leftovers(self) -> tuple[PodState, ...]:
        """Pods that may still run though their attempt is over: none, unless somebody has made one."""
        over = self.attempt if self._concluded else self.attempt - 1
        return tuple(pod for pod in self.pods if pod.attempt <= over and not pod.ended)

    @property
    def remembered(self) -> Memory:
        """What the history holds of the current attempt; empty when it holds an earlier one at most."""
        return self.memory if self.memory.attempt == self.attempt else Memory()

    @property
    def stage(self) -> Stage:
        """Where the current attempt is."""
        if self.attempt == 0:
            return Stage.NONE
        if self._concluded:  # before the pod is looked at: a stale list may show it alive once more
            return Stage.CONCLUDED
        if self.pod is not None and not self.pod.ended:
            return Stage.LIVE
        if self.pod is None and not self._traces:
            return Stage.UNBORN
        return Stage.ENDED

    @property
    def _concluded(self) -> bool:
        """The history is asked first: what the status alone has said, the history is still to be told."""
        if self.memory.attempt == self.attempt:
            return self.memory.attempt_finished_at is not None
        status = self.task.status
        return status.attempt == self.attempt and status.reason is Reason.BACKING_OFF

    @property
    def _traces(self) -> bool:
        """Whether anything says that the pod had been there: the status, which follows it, or what the worker
        left."""
        told = self.mailbox.outcome is not None or self.mailbox.progress is not None
        shown = self.task.status.attempt == self.attempt
        return told or shown or self.remembered.attempt_reason is not None

    @property
    def granted_at(self) -> dt.datetime | None:
        """When the current attempt got its slot."""
        if self.remembered.granted_at is not None:
            return self.remembered.granted_at
        return self.pod.created_at if self.pod else None

    @property
    def starting_since(self) -> dt.datetime | None:
        """Since when the start clock of the current attempt's pod runs; ``None`` while it does not.

        Since the slot was granted; for a pod that another system had gated, since it was seen without its
        gate, which is when the condition Scheduled turned true.
        """
        found = condition(self.task.status.conditions, Condition.SCHEDULED)
        if self.granted_at is None or found is None or not found.true:
            return None
        return max(self.granted_at, found.last_transition_time)

    @property
    def started_at(self) -> dt.datetime | None:
        """When the current attempt's container started, as its pod says, or as its status has said before."""
        if self.pod is not None and self.pod.started_at is not None:
            return self.pod.started_at
        status = self.task.status
        return status.started_at if status.attempt == self.attempt else None

    @property
    def created_at(self) -> dt.datetime:
        """When the object was created."""
        moment = self.task.metadata.creation_timestamp
        if moment is None:
            raise ValueError("metadata.creationTimestamp of a QueryTask in the cluster must be set")
        return moment

    @property
    def asked(self) -> Asked:
        """What has been asked of the attempt."""
        noted = self.remembered.attempt_reason == Reason.TIMEOUT
        return Asked(self.cancelling, noted or (self.pod is not None and self.pod.stop == "timeout"))

    @property
    def cancelling(self) -> bool:
        """Whether the task is to be cancelled: it was asked for, or it was begun."""
        return self.task.spec.cancel or self.task.status.phase is Phase.CANCELLING
