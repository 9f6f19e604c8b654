"""Why a worker has not started: what to say while it waits, and which reason it gets when the start deadline
has passed."""

from __future__ import annotations

import datetime as dt

from querytask import names
from querytask.api.metadata import condition
from querytask.core.observed import Observed
from querytask.core.podstate import PodState
from querytask.names import Condition, Reason

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
"""Waiting reasons of the kubelet that are about the image."""


def progress(pod: PodState) -> str:
    """What a pod that has not started waits for, in a sentence."""
    if pod.gated:
        return f"pod {pod.name} is held back by a scheduling gate"
    if pod.unschedulable:
        return f"pod {pod.name} finds no node: {pod.unschedulable}"
    if pod.waiting_reason in IMAGE_REASONS:
        return f"the image of pod {pod.name} cannot be pulled: {_waiting(pod)}"
    if pod.waiting_reason not in ("", "ContainerCreating", "PodInitializing"):
        return f"pod {pod.name} cannot start: {_waiting(pod)}"
    return waiting(pod.name)


def waiting(name: str) -> str:
    """The same for a pod of which nothing special is to be said. Always the same words, for another message
    is another write."""
    return f"pod {name} is starting"


def failure(pod: PodState, mount_failure: str) -> tuple[Reason, str]:
    """The reason and the sentence for a pod that did not start in time."""
    if pod.unschedulable:
        return Reason.UNSCHEDULABLE, progress(pod)
    if pod.waiting_reason in IMAGE_REASONS:
        return Reason.IMAGE_PULL_FAILED, progress(pod)
    if mount_failure:
        return Reason.VOLUME_NOT_MOUNTED, f"a volume of pod {pod.name} cannot be mounted: {mount_failure}"
    return Reason.START_TIMEOUT, f"the container did not start within the start deadline: {progress(pod)}"


def vanished(o: Observed) -> PodState:
    """The pod of the current attempt when nothing is known of it but that it is gone."""
    name = names.pod_name(o.task.metadata.uid, o.attempt)
    return PodState(
        name=name,
        uid="",
        owner_uid=o.task.metadata.uid,
        attempt=o.attempt,
        created_at=o.granted_at or o.created_at,
        gone=True,
        started_at=o.started_at,
    )


def sources_missing_since(o: Observed) -> dt.datetime | None:
    """When the condition SourcesReady turned false; ``None`` when it is not false."""
    found = condition(o.task.status.conditions, Condition.SOURCES_READY)
    return found.last_transition_time if found is not None and found.status == "False" else None


def backing_off_since(o: Observed) -> dt.datetime | None:
    """When the task began to back off, as its own status has it: for when the history was lost."""
    found = condition(o.task.status.conditions, Condition.SCHEDULED)
    return found.last_transition_time if found is not None and found.reason == Reason.BACKING_OFF else None


def _waiting(pod: PodState) -> str:
    return f"{pod.waiting_reason}: {pod.waiting_message}" if pod.waiting_message else pod.waiting_reason
