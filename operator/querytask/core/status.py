"""The status that a task is to have, written whole from what was observed: never a change to what happened to
stand there.

For ``decide``. One function for each phase; all go through ``_compose``, which carries over what must not be
lost, sets every condition, and cuts the whole to the size that the API server takes.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from querytask import names
from querytask.api import bounds, durations
from querytask.api.fields import MOST_INTEGER
from querytask.api.metadata import Condition as ApiCondition
from querytask.api.metadata import condition, set_condition
from querytask.api.task_spec import Compression, Format
from querytask.api.task_status import (
    CancelStatus,
    ErrorCategory,
    ExportStatus,
    Result,
    Statistics,
    TaskError,
    TaskStatus,
)
from querytask.core import clock, conclusion
from querytask.core.conclusion import End
from querytask.core.observed import Observed, Stage
from querytask.names import CancelStep, Condition, ConditionReason, ExportState, Phase, Reason
from querytask_worker.contract import Manifest

MOST_SECONDS = 10.0**11
"""The longest measured time that the schema takes, in seconds."""
PATH_BYTES = 512
MOST_PROGRESS = 99
"""While running; 100 is said of a task that has succeeded, and of no other."""


def queued(
    o: Observed, now: dt.datetime, reason: Reason, message: str, *, attempt: int | None = None
) -> TaskStatus:
    """Queued: waiting for something, or for the container of ``attempt`` to start."""
    shown = attempt if attempt is not None else o.task.status.attempt
    return _compose(
        o,
        now,
        phase=Phase.QUEUED,
        reason=reason,
        message=message,
        attempt=shown,
        pod_name=names.pod_name(o.task.metadata.uid, shown) if shown else None,
        started_at=None,
        progress=None,
    )


def running(o: Observed, now: dt.datetime, *, long: bool = False) -> TaskStatus:
    """Running: the container has started; ``long`` adds, for good, that it runs longer than expected."""
    status = _running(o, now)
    if not long or condition(status.conditions, Condition.LONG_RUNNING) is not None:
        return status
    message = f"attempt {o.attempt} has run longer than the operator's setting longRunningSeconds"
    generation = o.task.metadata.generation
    return _with(o, status, _condition(Condition.LONG_RUNNING, True, "LongRunning", message, now, generation))


def _running(o: Observed, now: dt.datetime) -> TaskStatus:
    pod, told = o.pod, o.mailbox.progress
    percent = told.percent if told is not None and told.attempt == o.attempt else None
    return _compose(
        o,
        now,
        phase=Phase.RUNNING,
        reason=Reason.STARTED,
        message=f"attempt {o.attempt} runs" + (f" on node {pod.node}" if pod and pod.node else ""),
        attempt=o.attempt,
        pod_name=names.pod_name(o.task.metadata.uid, o.attempt),
        started_at=_started_at(o),
        progress=None if percent is None else min(MOST_PROGRESS, max(percent, _last_progress(o))),
    )


def cancelling(o: Observed, now: dt.datetime) -> TaskStatus:
    """Cancelling: a stop was asked for, and the worker is not known to be gone."""
    return _compose(
        o,
        now,
        phase=Phase.CANCELLING,
        reason=Reason.CANCEL_REQUESTED,
        message="the worker is being stopped" + _because(o),
        attempt=o.attempt,
        pod_name=names.pod_name(o.task.metadata.uid, o.attempt),
        started_at=_started_at(o),
        cancel=_cancel(o, now, CancelStep.REQUESTED),
    )


def stalled(o: Observed, now: dt.datetime) -> TaskStatus:
    """Cancelling for longer than a stop may take: nobody confirms that the worker is gone, and the object
    says so."""
    status = cancelling(o, now)
    node = o.pod.node if o.pod and o.pod.node else "unknown"
    reason = ConditionReason.NODE_GONE if o.node_gone else ConditionReason.NODE_SILENT
    message = (
        f"node {node} is gone for good"
        if o.node_gone
        else f"node {node} does not confirm that the worker has ended"
    )
    return _with(
        o, status, _condition(Condition.STALLED, True, reason, message, now, o.task.metadata.generation)
    )


def finished(o: Observed, now: dt.datetime, end: End) -> TaskStatus:
    """Succeeded, Failed or Cancelled: the end that the task keeps.

    A worker's clock is believed only within the task's life: no end is before the creation or in the future.
    """
    completed = o.memory.completed_at or clock.within(end.at or now, o.created_at, now)
    told = end.manifest or end.outcome
    precise = _started_at(o)  # the kubelet tells whole seconds
    if told is not None:
        precise = clock.within(clock.parse(told.started_at), o.created_at, now)
    started = _started_at(o) or precise
    taken = None if precise is None else clock.seconds_between(precise, completed)
    return _compose(
        o,
        now,
        phase=end.phase,
        reason=end.reason,
        message=end.message,
        attempt=o.attempt or None,
        pod_name=names.pod_name(o.task.metadata.uid, o.attempt) if o.attempt else None,
        started_at=started,
        completed_at=completed,
        execution_seconds=taken,
        duration=None if taken is None else durations.brief(taken),
        progress=100 if end.phase is Phase.SUCCEEDED else None,
        result=_result(end.manifest),
        export=_export(o, end.manifest),
        cancel=_cancelled(o, now, end, completed),
        error=_error(end),
        statistics=_statistics(o, end, precise),
    )


def remembered(o: Observed, now: dt.datetime) -> TaskStatus:
    """The end that the history holds, for an object whose own status was not written before a crash."""
    memory = o.memory
    phase, reason = Phase(str(memory.phase)), conclusion.reason(str(memory.reason))
    message, at = memory.message or "", memory.completed_at
    position = memory.error.position if memory.error else None
    end = End(phase, reason, message, at, cancel_step=_step(memory.cancel_step))
    if phase is Phase.FAILED:
        end = conclusion.failed(reason, message, at, position=position)
    status = finished(o, now, end)
    if memory.statistics:
        status = status.model_copy(update={"statistics": Statistics.model_validate(memory.statistics)})
    if end.phase is not Phase.SUCCEEDED or o.task.spec.export is None:
        return status
    return status.model_copy(update={"export": ExportStatus(state=ExportState.EXPIRED)})


def unrecorded(o: Observed, status: TaskStatus, now: dt.datetime, message: str) -> TaskStatus:
    """``status``, saying that the history could not take it: since the object has first said so."""
    generation = o.task.metadata.generation
    lost = _condition(
        Condition.RECORDED, False, ConditionReason.HISTORY_UNAVAILABLE, message, now, generation
    )
    return _with(o, status, lost)


def recorded(o: Observed, now: dt.datetime) -> TaskStatus:
    """The status of a finished task as it stands, but saying that the history has it."""
    status, generation = o.task.status, o.task.metadata.generation
    found = condition(status.conditions, Condition.RECORDED)
    if found is not None and found.true:
        return status
    mended = _condition(Condition.RECORDED, True, ConditionReason.RECORDED, "", now, generation)
    return bounds.fit(status.model_copy(update={"conditions": set_condition(status.conditions, mended)}))


def _with(o: Observed, status: TaskStatus, added: ApiCondition) -> TaskStatus:
    """``status`` with one more condition, which has held since the object has first said so."""
    before = condition(o.task.status.conditions, added.type)
    if before is not None and before.status == added.status:
        added = added.model_copy(update={"last_transition_time": before.last_transition_time})
    return bounds.fit(status.model_copy(update={"conditions": set_condition(status.conditions, added)}))


def _compose(o: Observed, now: dt.datetime, **fields: Any) -> TaskStatus:
    old = o.task.status
    kept = {"cancel": old.cancel, "statistics": old.statistics, "progress": old.progress}
    status = TaskStatus.model_construct(
        **TaskStatus().__dict__
        | kept
        | {
            "observed_generation": o.task.metadata.generation,
            "queued_at": old.queued_at or o.memory.queued_at or now,
        }
        | fields
        | {"message": bounds.text(fields["message"], bounds.MESSAGE)}
    )
    return bounds.fit(status.model_copy(update={"conditions": _conditions(o, status, now)}))


# the conditions


def _conditions(o: Observed, status: TaskStatus, now: dt.datetime) -> tuple[ApiCondition, ...]:
    phase, reason, generation = status.phase, str(status.reason), o.task.metadata.generation
    over = phase in names.TERMINAL_PHASES
    published = status.result is not None
    scheduled = _scheduled(o, status, over)
    rows: list[tuple[str, bool | None, str]] = [
        (Condition.SCHEDULED, scheduled, ConditionReason.POD_CREATED if scheduled else reason),
        (Condition.STARTED, status.started_at is not None, Reason.STARTED if status.started_at else reason),
        (Condition.EXPORTED, *_exported(o, over, published, reason)),
        (Condition.RECORDED, True, ConditionReason.RECORDED),
        (Condition.FINISHED, over, reason if over else ConditionReason.UNFINISHED),
        (
            Condition.SUCCEEDED,
            phase is Phase.SUCCEEDED if over else None,
            reason if over else ConditionReason.UNFINISHED,
        ),
    ]
    if o.task.spec.sources and not over:
        problem = next((source for source in o.sources if source.problem), None)
        rows.append(
            (
                Condition.SOURCES_READY,
                problem is None,
                problem.problem if problem and problem.problem else ConditionReason.SOURCES_READY,
            )
        )
    conditions = tuple(item for item in o.task.status.conditions if item.type not in _PASSING)
    for kind, truth, why in rows:
        message = (status.message or "") if truth is False and why == reason else ""
        conditions = set_condition(conditions, _condition(kind, truth, why, message, now, generation))
    return conditions


def _scheduled(o: Observed, status: TaskStatus, over: bool) -> bool:
    """Whether the current attempt has a pod that nobody holds back; at the end, whether it had one."""
    started, pod, old = status.started_at is not None, o.pod, o.task.status
    if not over:
        alive = pod if o.stage is Stage.LIVE else None
        return started or (status.reason is Reason.POD_PENDING if alive is None else not alive.gated)
    before = condition(old.conditions, Condition.SCHEDULED)
    if before is not None and old.attempt == o.attempt:
        return started or before.true
    return started or (pod is not None and not pod.gated)


def _exported(o: Observed, over: bool, published: bool, reason: str) -> tuple[bool | None, str]:
    if o.task.spec.export is None:
        return False, ConditionReason.NOT_APPLICABLE
    if published:
        return True, ConditionReason.PUBLISHED
    return (False, reason) if over else (None, ConditionReason.UNFINISHED)


_TRUTH: dict[bool | None, Literal["True", "False", "Unknown"]] = {
    True: "True",
    False: "False",
    None: "Unknown",
}


def _condition(
    kind: str, truth: bool | None, reason: str, message: str, now: dt.datetime, generation: int
) -> ApiCondition:
    return ApiCondition.model_construct(
        type=str(kind),
        status=_TRUTH[truth],
        reason=str(reason),
        message=bounds.text(message, bounds.CONDITION_MESSAGE // 2),
        last_transition_time=now.replace(microsecond=0),
        observed_generation=generation,
    )


_PASSING = frozenset({Condition.STALLED})
"""Conditions that are there only as long as they are true."""


# the parts of an end


def _result(manifest: Manifest | None) -> Result | None:
    if manifest is None:
        return None
    columns = ((column.name, column.type) for column in manifest.columns)
    preview = manifest.preview
    return bounds.result(_count(manifest.rows) or 0, columns, preview.rows, preview.truncated)


def _export(o: Observed, manifest: Manifest | None) -> ExportStatus:
    if manifest is None:
        return ExportStatus(state=ExportState.NOT_APPLICABLE)
    expires = max(clock.parse(manifest.expires_at), o.created_at)
    if not manifest.files:
        return ExportStatus(state=ExportState.NOT_APPLICABLE, expires_at=expires)
    directory = names.export_directory(o.task.metadata.namespace, o.task.metadata.uid)
    first = manifest.files[0]
    return ExportStatus(
        state=ExportState.AVAILABLE,
        path=bounds.text(f"{directory}/{manifest.attempt}/{first.name}", PATH_BYTES),
        format=Format(manifest.format) if manifest.format else None,
        compression=Compression(manifest.compression) if manifest.compression else None,
        bytes=_count(sum(file.bytes for file in manifest.files)),
        rows=_count(manifest.rows),
        sha256=first.sha256,
        files=len(manifest.files),
        expires_at=expires,
    )


def _error(end: End) -> TaskError | None:
    if end.phase is not Phase.FAILED:
        return None
    told = end.error
    return TaskError(
        category=ErrorCategory(told.category if told else "Internal"),
        code=end.reason,
        message=bounds.text(end.message, bounds.ERROR_MESSAGE),
        position=told.position if told else None,
        retryable=told.retryable if told else False,
    )


def _statistics(o: Observed, end: End, started: dt.datetime | None) -> Statistics:
    told = end.manifest.statistics if end.manifest else end.outcome.statistics if end.outcome else None
    first = o.memory.first_granted_at or o.granted_at
    start = None
    if started is not None and o.granted_at is not None:
        inside = (_seconds(told.start_seconds) if told else None) or 0.0
        start = clock.seconds_between(o.granted_at, started) + inside
    return Statistics(
        queue_seconds=None if first is None else clock.seconds_between(o.created_at, first),
        start_seconds=start,
        engine_seconds=_seconds(told.engine_seconds) if told else None,
        export_seconds=_seconds(told.export_seconds) if told else None,
        peak_memory_bytes=_count(told.peak_memory_bytes) if told else None,
        spill_bytes=_count(told.spill_bytes) if told else None,
    )


def _count(told: int | None) -> int | None:
    """A number that a worker has told, within what the schema takes."""
    return None if told is None else min(max(0, told), MOST_INTEGER)


def _seconds(told: float | None) -> float | None:
    """The same for a measured time."""
    return None if told is None else min(max(0.0, told), MOST_SECONDS)


def _started_at(o: Observed) -> dt.datetime | None:
    if o.task.status.attempt == o.attempt and o.task.status.started_at is not None:
        return o.task.status.started_at
    return o.pod.started_at if o.pod else None


def _last_progress(o: Observed) -> int:
    return (o.task.status.progress or 0) if o.task.status.attempt == o.attempt else 0


# cancelling


def _because(o: Observed) -> str:
    reason = o.task.metadata.annotations.get(names.CANCEL_REASON_ANNOTATION)
    return f": {bounds.text(reason, bounds.CANCEL_REASON)}" if reason else ""


def _cancel(o: Observed, now: dt.datetime, step: CancelStep) -> CancelStatus:
    old = o.task.status.cancel
    reason = o.task.metadata.annotations.get(names.CANCEL_REASON_ANNOTATION)
    return CancelStatus(
        requested_at=old.requested_at if old else now,
        reason=bounds.text(reason, bounds.CANCEL_REASON) if reason else None,
        step=step,
    )


def _step(text: str | None) -> CancelStep | None:
    return CancelStep(text) if text in set(CancelStep) else None


def _cancelled(o: Observed, now: dt.datetime, end: End, completed: dt.datetime) -> CancelStatus | None:
    if end.phase is not Phase.CANCELLED:
        return o.task.status.cancel
    step = end.cancel_step or (o.task.status.cancel.step if o.task.status.cancel else CancelStep.KILLED)
    return _cancel(o, now, step).model_copy(
        update={"finished_at": max(completed, _cancel(o, now, step).requested_at)}
    )
