"""Arbitrary values for properties: whatever may be observed of a task, contradictions included.

Each part is drawn by itself, so that the history may hold what the object denies, and a pod may be there
that nobody has made. What a part may not be is what its own adapter refuses: a time that is none.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from querytask import names
from querytask.api.metadata import Condition as ApiCondition
from querytask.api.task import QueryTask
from querytask.api.task_status import CancelStatus, TaskStatus
from querytask.core.observed import Mailbox, Memory, Observed, Refusal, SourceState
from querytask.core.podstate import PodState, Terminated
from querytask.names import CancelStep, Condition, Phase, Reason
from querytask_worker.contract import ExitCode
from tests import builders as make

ATTEMPTS = st.integers(0, 4)
MOMENTS = st.sampled_from([-100_000.0, -4000.0, -310.0, -61.0, -30.0, -5.0, 0.0, 20.0]).map(make.later)
MAYBE_MOMENTS = st.none() | MOMENTS
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["", "x" * 3000, '"' * 2000, "\x01" * 1500, "é" * 1500, "\ud800"]
)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A spec, in camelCase."""
    spec: dict[str, Any] = {
        "cancel": draw(st.booleans()),
        "retry": {"limit": draw(st.integers(0, 3)), "backoff": draw(st.sampled_from(["1s", "10s", "1h"]))},
        "timeout": draw(st.sampled_from(["1s", "30m"])),
        "queueTimeout": draw(st.sampled_from(["10s", "24h"])),
        "sources": draw(st.sampled_from([[], ["flights"], ["flights", "planes"]])),
    }
    if draw(st.booleans()):
        spec["export"] = {}
    if draw(st.booleans()):
        spec["ttlAfterFinished"] = draw(st.sampled_from(["0s", "1h"]))
    return spec


@st.composite
def conditions(draw: st.DrawFn) -> tuple[ApiCondition, ...]:
    """Conditions of a status, each type at most once."""
    kinds = draw(st.lists(st.sampled_from(list(Condition)), unique=True, max_size=3))
    return tuple(
        ApiCondition(
            type=kind,
            status=draw(st.sampled_from(["True", "False", "Unknown"])),
            reason=draw(st.sampled_from(["BackingOff", "Recorded", "Unfinished"])),
            last_transition_time=draw(MOMENTS),
        )
        for kind in kinds
    )


@st.composite
def statuses(draw: st.DrawFn) -> TaskStatus:
    """A status as it may stand on the object, also one that somebody has written by hand."""
    phase = draw(st.none() | st.sampled_from(list(Phase)))
    if phase is None:
        return TaskStatus()
    cancel = None
    if phase in (Phase.CANCELLING, Phase.CANCELLED) or draw(st.booleans()):
        cancel = CancelStatus(requested_at=draw(MOMENTS), step=draw(st.sampled_from(list(CancelStep))))
    return TaskStatus(
        phase=phase,
        reason=draw(st.sampled_from(list(Reason))),
        message=draw(st.none() | st.just("as before")),
        conditions=draw(conditions()),
        attempt=draw(st.none() | ATTEMPTS),
        queued_at=draw(MAYBE_MOMENTS),
        started_at=draw(MAYBE_MOMENTS),
        completed_at=draw(MAYBE_MOMENTS),
        progress=draw(st.none() | st.integers(0, 99)),
        cancel=cancel,
    )


@st.composite
def pods(draw: st.DrawFn, attempt: int) -> PodState:
    """A pod of that attempt."""
    ended = None
    if draw(st.booleans()):
        code = draw(st.sampled_from([0, 1, 137, 143, *ExitCode]))
        why = draw(st.sampled_from(["", "Error", "OOMKilled", "ContainerStatusUnknown"]))
        told = draw(st.sampled_from(["", "{", "{}", '{"attempt": 1}', make.text(make.NOW)]))
        ended = Terminated(int(code), why, told, draw(MAYBE_MOMENTS))
    return make.pod(
        attempt,
        phase=draw(st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"])),
        node=draw(st.sampled_from(["", "node-a"])),
        reason=draw(st.sampled_from(["", "Evicted", "DeadlineExceeded", "NodeLost", "OutOfcpu"])),
        message=draw(TEXTS),
        deleting=draw(st.booleans()),
        gone=draw(st.booleans()),
        started_at=draw(MAYBE_MOMENTS),
        running=ended is None and draw(st.booleans()),
        terminated=ended,
        waiting_reason=draw(st.sampled_from(["", "ContainerCreating", "ErrImagePull"])),
        unschedulable=draw(st.sampled_from(["", "0/1 nodes are available"])),
        gated=draw(st.booleans()),
        disruption=draw(st.sampled_from(["", "DeletionByTaintManager", "EvictionByEvictionAPI"])),
        stop=draw(st.sampled_from(["", "cancel", "timeout"])),
        created_at=draw(MOMENTS),
    )


@st.composite
def mailboxes(draw: st.DrawFn) -> Mailbox:
    """What a task's directory holds."""
    manifest = outcome = progress = None
    if draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from([make.manifest, make.preview_only]))
        manifest = kind(attempt=draw(st.integers(1, 4)), rows=draw(st.integers(0, 2**53)))
    if draw(st.booleans()):
        code = draw(st.sampled_from(list(ExitCode)))
        step = draw(st.sampled_from(["Interrupted", "Killed"])) if code is ExitCode.STOPPED else None
        outcome = make.outcome(code, step=step, attempt=draw(st.integers(1, 4)))
    if draw(st.booleans()):
        progress = make.progress(draw(st.none() | st.integers(0, 100)), attempt=draw(st.integers(1, 4)))
    return Mailbox(manifest, outcome, progress)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    """What the history holds."""
    if draw(st.booleans()):
        return Memory()
    attempt = draw(ATTEMPTS)
    known = attempt > 0
    return Memory(
        phase=draw(st.sampled_from([*(phase.value for phase in Phase), names.DELETED])),
        reason=draw(st.none() | st.sampled_from([*(reason.value for reason in Reason), "FromTheFuture"])),
        message=draw(st.none() | TEXTS),
        queued_at=draw(MAYBE_MOMENTS),
        completed_at=draw(MAYBE_MOMENTS),
        attempt=attempt,
        first_granted_at=draw(MAYBE_MOMENTS) if known else None,
        granted_at=draw(MAYBE_MOMENTS) if known else None,
        attempt_reason=draw(
            st.none() | st.sampled_from([*(reason.value for reason in Reason), "FromTheFuture"])
        )
        if known
        else None,
        attempt_message=draw(TEXTS) if known else "",
        attempt_finished_at=draw(MAYBE_MOMENTS) if known else None,
    )


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """Everything together."""
    spec = draw(specs())
    which: QueryTask = make.task(created=draw(MOMENTS), **spec)
    numbers = draw(st.lists(st.integers(1, 4), unique=True, max_size=3))
    sources = [
        make.missing(name, draw(st.sampled_from([Reason.SOURCE_NOT_FOUND, Reason.SOURCE_NOT_READY])))
        if draw(st.booleans())
        else SourceState(name)
        for name in which.spec.sources
    ]
    refused = None
    if draw(st.integers(0, 3)) == 0:
        reasons = [Reason.QUOTA_EXCEEDED, Reason.NAME_TAKEN, Reason.POD_REJECTED]
        refused = Refusal(draw(st.sampled_from(reasons)), draw(TEXTS), draw(MOMENTS))
    return Observed(
        task=make.with_status(which, draw(statuses())),
        pods=tuple(draw(pods(number)) for number in sorted(numbers)),
        mailbox=draw(mailboxes()),
        memory=draw(memories()),
        sources=tuple(sources),
        slot=draw(st.booleans()),
        refusal=refused,
        mount_failure=draw(st.sampled_from(["", "no such claim"])),
    )
