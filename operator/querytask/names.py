"""Every string that reaches the cluster is made here: groups, labels, annotations, object names, phases,
reasons, conditions.

A leaf: it imports nothing of this package, so that one place answers "what is it called", for every other
module and for the tests.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping

GROUP = "querytask.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
TASK_KIND, TASK_PLURAL = "QueryTask", "querytasks"
SOURCE_KIND, SOURCE_PLURAL = "QuerySource", "querysources"

APP_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
INSTANCE_LABEL = "app.kubernetes.io/instance"
WORKER_APP = "querytask-worker"
MANAGER = "querytask-operator"

TASK_UID_LABEL = f"{GROUP}/task-uid"
ATTEMPT_LABEL = f"{GROUP}/attempt"
TASK_NAME_ANNOTATION = f"{GROUP}/task-name"
"""An annotation and no label: a task's name may have 253 characters, a label's value 63."""
STOP_ANNOTATION = f"{GROUP}/stop"
"""Why a pod is being stopped: ``cancel`` or ``timeout``; written with ``activeDeadlineSeconds: 1`` in one
PATCH."""
CANCEL_REASON_ANNOTATION = f"{GROUP}/cancel-reason"
"""Set by whoever cancels a task: why, in at most 256 characters."""

RETRY_OF_ANNOTATION = f"{GROUP}/retry-of"
"""On a task that repeats another: that one's uid."""
REQUEST_LABEL = f"{GROUP}/request"
"""On a task that was made for an ``Idempotency-Key``: digests of the key and of what was asked for. A label,
since the history keeps labels."""
API_MANAGER = "querytask-api"
"""The field manager of what the API writes; behind a colon follows whose token it was."""

WORKER_CONTAINER = "worker"
SPILL_VOLUME = "spill"
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LEASE_NAME = "querytask-operator"


class Phase(enum.StrEnum):
    """For people and for lists; the conditions are the contract."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """A phase that never changes again."""
        return self in TERMINAL_PHASES


TERMINAL_PHASES = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})
DELETED = "Deleted"
"""An outcome in the history, no phase: the object went before its task had an end."""


class Reason(enum.StrEnum):
    """Why a task is in its phase: a closed set, documented in ``docs/reference/reasons.md``."""

    WAITING_FOR_SLOT = "WaitingForSlot"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_NOT_READY = "SourceNotReady"
    POD_PENDING = "PodPending"
    BACKING_OFF = "BackingOff"
    STARTED = "Started"
    COMPLETED = "Completed"
    CANCEL_REQUESTED = "CancelRequested"
    SQL_ERROR = "SqlError"
    SQL_NOT_ALLOWED = "SqlNotAllowed"
    PARAMETER_ERROR = "ParameterError"
    TIMEOUT = "Timeout"
    INTERNAL_ERROR = "InternalError"
    QUEUE_TIMEOUT = "QueueTimeout"
    START_TIMEOUT = "StartTimeout"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    NAME_TAKEN = "NameTaken"
    OUT_OF_MEMORY = "OutOfMemory"
    SPILL_FULL = "SpillFull"
    EXPORT_VOLUME_FULL = "ExportVolumeFull"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    CANCEL_TIMEOUT = "CancelTimeout"
    WORKER_LOST = "WorkerLost"
    NODE_LOST = "NodeLost"
    EVICTED = "Evicted"
    POD_REJECTED = "PodRejected"


RETRIED_REASONS = frozenset({Reason.WORKER_LOST, Reason.NODE_LOST, Reason.EVICTED, Reason.POD_REJECTED})
"""Faults of the infrastructure: the only ones that start another attempt."""


class Condition(enum.StrEnum):
    """The condition types of a QueryTask's status."""

    SCHEDULED = "Scheduled"
    STARTED = "Started"
    EXPORTED = "Exported"
    RECORDED = "Recorded"
    FINISHED = "Finished"
    SUCCEEDED = "Succeeded"
    SOURCES_READY = "SourcesReady"
    """Only on tasks that name sources: since when they can, or cannot, be used."""
    STALLED = "Stalled"
    """Only while a cancellation takes longer than it may: the worker is not known to be gone."""
    LONG_RUNNING = "LongRunning"
    """Only on tasks that run longer than the operator's setting of that name."""


class ConditionReason(enum.StrEnum):
    """Reasons that only conditions have; beside these a condition carries the reason of its task."""

    POD_CREATED = "PodCreated"
    PUBLISHED = "Published"
    NOT_APPLICABLE = "NotApplicable"
    UNFINISHED = "Unfinished"
    RECORDED = "Recorded"
    HISTORY_UNAVAILABLE = "HistoryUnavailable"
    SOURCES_READY = "SourcesReady"
    NODE_SILENT = "NodeSilent"
    NODE_GONE = "NodeGone"
    LONG_RUNNING = "LongRunning"


class SourceReason(enum.StrEnum):
    """Reasons of a QuerySource's condition ``Ready``."""

    CLAIM_FOUND = "ClaimFound"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_RESERVED = "ClaimReserved"


HISTORY_REPLACED = "HistoryReplaced"
"""The reason of the Event on the operator's pod when its history is another one than before."""


class ExportState(enum.StrEnum):
    """What became of a task's exported file."""

    AVAILABLE = "Available"
    EXPIRED = "Expired"
    DELETED = "Deleted"
    NOT_APPLICABLE = "NotApplicable"


class CancelStep(enum.StrEnum):
    """How far a cancellation has come."""

    REQUESTED = "Requested"
    INTERRUPTED = "Interrupted"
    KILLED = "Killed"


def pod_name(task_uid: str, attempt: int) -> str:
    """The name of an attempt's pod; it follows from the task alone, so that a second create meets the first
    one's pod."""
    return f"qt-{task_uid}-{attempt}"


def export_directory(namespace: str, task_uid: str) -> str:
    """A task's directory, relative to the root of the exports volume: also the ``subPath`` of its worker's
    mount."""
    return f"{namespace}/{task_uid}"


def retried_uid(annotations: Mapping[str, str]) -> str | None:
    """The uid of the task that an object says to repeat; ``None`` where it names none that could be one."""
    found = annotations.get(RETRY_OF_ANNOTATION, "")
    return found if _UID.fullmatch(found) else None


def event_name(task_uid: str, *parts: object) -> str:
    """The name of the Event of one transition; the same transition told twice has the same name, and so is
    told once."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest()
    return f"qt-{task_uid}.{digest[:12]}"
