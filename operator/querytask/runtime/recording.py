"""Between the reconciler's values and the history's rows: pure, in both directions.

Here and not in ``core``, because the rows belong to the store, which ``core`` does not know.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from querytask import names
from querytask.adapters.store import (
    AttemptRecord,
    CancelRecord,
    Ending,
    ExportRecord,
    ResultRecord,
    StoredTask,
    TaskRecord,
    TransitionRecord,
)
from querytask.api.task import QueryTask
from querytask.api.task_status import TaskStatus
from querytask.core import clock, managers
from querytask.core.conclusion import End
from querytask.core.observed import Memory, Observed
from querytask.core.plan import AttemptNote, Plan
from querytask.names import ExportState, Phase
from querytask_worker.contract import Error, Manifest

_APART = frozenset({"sql", "parameters", "sources", "owner", "resources"})
"""Fields of the spec that have columns of their own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What one step writes into the history; compared with the last one written, so that nothing is written
    twice."""

    task: TaskRecord
    attempt: AttemptRecord | None
    export: ExportRecord | None
    transition: tuple[int, str, str]

    def says_nothing_after(self, last: Step) -> bool:
        """Whether the history holds all of it when ``last`` was written last: of a task that has its end
        it takes only what may still change."""
        if self == last:
            return True
        ended = self.task.phase == last.task.phase and last.task.completed_at is not None
        more = self.attempt is not None or self.export is not None
        return ended and not more and _live(self.task) == _live(last.task)

    def transitions(self, now: dt.datetime) -> list[TransitionRecord]:
        """The step as a row of its own; told again it is no new row."""
        attempt, phase, reason = self.transition
        actor = self.task.cancel.actor if self.task.cancel and phase == Phase.CANCELLING else None
        return [
            TransitionRecord(
                attempt=attempt,
                phase=phase,
                reason=reason,
                at=now,
                message=self.task.message,
                source="reconcile",
                actor=actor,
            )
        ]


def _live(task: TaskRecord) -> tuple[object, ...]:
    return task.priority, task.metadata, task.ttl_due_at


def memory(stored: StoredTask | None) -> Memory:
    """What the history remembers, as ``decide`` sees it."""
    if stored is None:
        return Memory()
    task, last = stored.task, stored.attempt(stored.task.attempt)
    last = last or (stored.attempts[-1] if stored.attempts else None)
    first = stored.attempts[0] if stored.attempts else None
    return Memory(
        phase=task.phase,
        reason=task.reason,
        message=task.message,
        queued_at=task.queued_at,
        completed_at=task.completed_at,
        error=task.error,
        cancel_step=task.cancel.step if task.cancel else None,
        statistics=task.statistics,
        attempt=last.attempt if last else 0,
        first_granted_at=first.granted_at if first else None,
        granted_at=last.granted_at if last else None,
        attempt_reason=last.reason if last else None,
        attempt_message=last.message if last else "",
        attempt_finished_at=last.finished_at if last else None,
        attempt_exit_code=last.exit_code if last else None,
        deleted=task.object_deleted_at is not None,
    )


def step(raw: Mapping[str, Any], observed: Observed, plan: Plan) -> Step:
    """The rows of the step that ``plan`` takes."""
    task, status = observed.task, plan.status
    manifest = observed.mailbox.manifest if status.phase is Phase.SUCCEEDED else None
    return Step(
        _task(raw, task, status, plan.end, manifest),
        _attempt(plan.note, plan.end),
        _export(task, status, manifest),
        (status.attempt or 0, str(status.phase), str(status.reason)),
    )


def ending(namespace: str, uid: str, end: End, source: str = "mailbox") -> Ending:
    """How a task whose object is gone had ended, as its mailbox tells."""
    manifest, outcome = end.manifest, end.outcome
    started = (
        clock.parse(manifest.started_at) if manifest else clock.parse(outcome.started_at) if outcome else None
    )
    return Ending(
        phase=end.phase,
        reason=end.reason,
        message=end.message,
        completed_at=end.at,
        execution_seconds=clock.seconds_between(started, end.at) if started and end.at else None,
        error=end.error,
        result=_result(manifest),
        export=published(namespace, uid, manifest) if manifest else None,
        source=source,
    )


def published(namespace: str, uid: str, manifest: Manifest) -> ExportRecord:
    """The export that a manifest tells of."""
    directory = names.export_directory(namespace, uid)
    first = manifest.files[0] if manifest.files else None
    return ExportRecord(
        attempt=manifest.attempt,
        state=ExportState.AVAILABLE if first else ExportState.NOT_APPLICABLE,
        path=f"{directory}/{manifest.attempt}/{first.name}" if first else None,
        format=manifest.format,
        compression=manifest.compression,
        bytes=sum(file.bytes for file in manifest.files) if first else None,
        rows=manifest.rows,
        sha256=first.sha256 if first else None,
        files=manifest.files,
        expires_at=clock.parse(manifest.expires_at),
    )


def _task(
    raw: Mapping[str, Any], task: QueryTask, status: TaskStatus, end: End | None, manifest: Manifest | None
) -> TaskRecord:
    spec, ttl = raw["spec"], task.spec.ttl_after_finished
    due = clock.after(status.completed_at, ttl) if ttl is not None and status.completed_at else None
    metadata = {"labels": task.metadata.labels} if task.metadata.labels else {}
    return TaskRecord(
        uid=task.metadata.uid,
        namespace=task.metadata.namespace,
        name=task.metadata.name,
        created_at=task.metadata.creation_timestamp or status.queued_at or clock.EPOCH,
        owner=task.spec.owner or "",
        sql=task.spec.sql,
        parameters=tuple(spec.get("parameters", ())),
        sources=task.spec.sources,
        resources=spec.get("resources", {}),
        spec={key: value for key, value in spec.items() if key not in _APART},
        retry_of=names.retried_uid(task.metadata.annotations),
        priority=task.spec.priority,
        metadata=metadata,
        ttl_due_at=due,
        phase=str(status.phase),
        reason=str(status.reason),
        message=status.message or "",
        phase_since=status.cancel.requested_at
        if status.phase is Phase.CANCELLING and status.cancel
        else None,
        attempt=status.attempt or 0,
        queued_at=status.queued_at,
        started_at=status.started_at,
        completed_at=status.completed_at,
        execution_seconds=status.execution_seconds,
        cancel=_cancel(status, raw),
        error=_error(status, end),
        result=_result(manifest),
        statistics=status.statistics.document() if status.statistics else {},
    )


def _attempt(note: AttemptNote | None, end: End | None) -> AttemptRecord | None:
    if note is None:
        return None
    told = (
        end.outcome.statistics
        if end and end.outcome
        else end.manifest.statistics
        if end and end.manifest
        else None
    )
    return AttemptRecord(
        attempt=note.number,
        pod_name=note.pod_name or "",
        granted_at=note.granted_at,
        started_at=note.started_at,
        finished_at=note.finished_at,
        reason=note.reason,
        message=note.message,
        exit_code=note.exit_code,
        node=note.node or None,
        statistics={key: value for key, value in dataclasses.asdict(told).items() if value is not None}
        if told
        else {},
    )


def _export(task: QueryTask, status: TaskStatus, manifest: Manifest | None) -> ExportRecord | None:
    if manifest is None or status.export is None:
        return None
    return published(task.metadata.namespace, task.metadata.uid, manifest)


def _result(manifest: Manifest | None) -> ResultRecord | None:
    if manifest is None:
        return None
    return ResultRecord(rows=manifest.rows, columns=manifest.columns, preview=manifest.preview)


def _cancel(status: TaskStatus, raw: Mapping[str, Any]) -> CancelRecord | None:
    told = status.cancel
    if told is None:
        return None
    return CancelRecord(
        requested_at=told.requested_at,
        reason=told.reason,
        step=told.step.value,
        finished_at=told.finished_at,
        actor=managers.of_cancel(raw),
    )


def _error(status: TaskStatus, end: End | None) -> Error | None:
    if status.error is None:
        return None
    if end is not None and end.outcome is not None and end.outcome.error is not None:
        return end.outcome.error
    shown = status.error
    return Error(shown.code, shown.message, shown.category, shown.position, shown.retryable)
