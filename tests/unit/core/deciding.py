"""What the tests of ``decide`` share: a task in some phase, and the plan for what was seen of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from querytask.api.metadata import Condition as ApiCondition
from querytask.api.metadata import condition
from querytask.api.task import QueryTask
from querytask.api.task_status import CancelStatus
from querytask.core.decide import decide
from querytask.core.observed import Observed
from querytask.names import CancelStep, Condition, Phase, Reason
from tests import builders as make

NOW, SETTINGS = make.NOW, make.settings()
GRANTED = make.memory().granted_at


def at(
    phase: Phase, reason: Reason | None = None, *, spec: dict[str, Any] | None = None, **fields: Any
) -> QueryTask:
    """A task with that status."""
    return make.task(status=make.shown(phase, reason, **fields), **(spec or {}))


def scheduled(since: float = 10, truth: str = "True", reason: str = "PodCreated") -> tuple[ApiCondition, ...]:
    """The condition that the start clock of a pod hangs on, and the wait of a lost attempt."""
    return since_then(Condition.SCHEDULED, since, truth, reason)


def since_then(kind: str, since: float, truth: str, reason: str) -> tuple[ApiCondition, ...]:
    """A condition that has its status for ``since`` seconds."""
    told: dict[str, Any] = {"status": truth, "reason": reason, "last_transition_time": make.ago(since)}
    return (ApiCondition(type=kind, **told),)


def plan(o: Observed, **changes: Any) -> Any:
    """What is decided, with the settings changed as said."""
    return decide(o, NOW, dataclasses.replace(SETTINGS, **changes) if changes else SETTINGS)


def told(answer: Any) -> tuple[Any, Any]:
    """Phase and reason."""
    return answer.status.phase, answer.status.reason


def requested(seconds: float, step: CancelStep = CancelStep.REQUESTED) -> CancelStatus:
    """A cancellation that was asked for so long ago."""
    return CancelStatus(requested_at=make.ago(seconds), step=step)


def cancelled(phase: Phase, *pods: Any, cancel: CancelStatus | None = None, **fields: Any) -> Observed:
    """A task that is to be cancelled."""
    shown: dict[str, Any] = {"attempt": 1}
    if phase is Phase.RUNNING:
        shown["started_at"] = make.ago(5)
    which = make.task(status=make.shown(phase, cancel=cancel, **shown), cancel=True)
    return make.observed(which, *pods, memory=make.memory(), **fields)


def condition_of(answer: Any, kind: str) -> Any:
    """A condition of the status that is to be written; ``None`` where it has none."""
    return condition(answer.status.conditions, kind)
