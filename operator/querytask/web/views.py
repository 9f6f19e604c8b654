"""What a task looks like in an answer: models, which are also the schemas of the reference, and how they are
made of what the history holds.

Names are those of the history; times are RFC 3339 in UTC with milliseconds, durations seconds and sizes
bytes. What is not known is ``null``, and never left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from querytask.adapters.store import (
    AttemptRecord,
    CancelRecord,
    ExportRecord,
    StoredTask,
    TaskRecord,
    ToldTransition,
    TransitionRecord,
)
from querytask.names import Phase
from querytask.web import words
from querytask.web.words import ExportStatus, State, Status
from querytask_worker import contract

_TWO = tuple(f"{number:02}" for number in range(60))
_THREE = tuple(f"{number:03}" for number in range(1000))


@lru_cache(1000)
def _day(ordinal: int) -> str:
    return dt.date.fromordinal(ordinal).isoformat()


def moment_text(found: dt.datetime) -> str:
    """As ``contract.timestamp`` writes it, in a fraction of its time: a long list has tens of thousands."""
    if found.tzinfo is not dt.UTC:
        return contract.timestamp(found)
    time = f"{_TWO[found.hour]}:{_TWO[found.minute]}:{_TWO[found.second]}.{_THREE[found.microsecond // 1000]}"
    return f"{_day(found.toordinal())}T{time}Z"


Moment = Annotated[dt.datetime, PlainSerializer(moment_text, return_type=str, when_used="json-unless-none")]


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class ErrorView(View):
    """Why a task has failed."""

    category: str = Field(description="Who can mend it: `User`, `Resource`, `External` or `Internal`.")
    code: str = Field(description="A reason, as in the reference of reasons.")
    message: str
    position: str | None = Field(description="Where in the SQL, as line:column from 1, where DuckDB says.")
    retryable: bool
    traceback: str | None = Field(None, description="The worker's, for internal errors; not in lists.")


class CancelView(View):
    """How a cancellation went."""

    requested_at: Moment
    reason: str | None = Field(description="Why, in the words of whoever cancelled.")
    step: str | None = Field(description="`Requested`, `Interrupted` or `Killed`.")
    finished_at: Moment | None
    actor: str | None = Field(description="Who asked for it, as far as the cluster tells.")


class ColumnView(View):
    """A column of a result."""

    name: str
    type: str = Field(description="Its DuckDB type.")


class FileView(View):
    """A file of an export."""

    name: str
    bytes: int
    rows: int
    sha256: str


class TaskItem(View):
    """A task as a list shows it."""

    uid: str
    namespace: str
    name: str
    owner: str
    status: Status
    state: State
    reason: str | None = Field(description="A reason, as in the reference of reasons.")
    message: str
    attempt: int = Field(description="Of the current or last attempt; 0 before the first.")
    priority: int
    task_type: str = Field(description="`query`, `federated`, or a template's type.")
    template: str | None
    retry_of: str | None = Field(description="The uid of the task that this one repeats.")
    sql: str = Field(description="The query; in a list its first 1000 characters.")
    sql_truncated: bool
    sql_hash: str = Field(description="SHA-256 of the text, in hexadecimal.")
    normal_hash: str = Field(description="The same of the form that all spellings of the query share.")
    sources: tuple[str, ...]
    metadata: Mapping[str, Any] = Field(description="The object's labels and chosen annotations.")
    created_at: Moment
    queued_at: Moment | None
    started_at: Moment | None
    completed_at: Moment | None
    updated_at: Moment
    execution_seconds: float | None
    is_success: bool | None = Field(description="`null` until the task has its end.")
    error: ErrorView | None
    cancel: CancelView | None
    rows: int | None = Field(description="How many rows the result has.")
    export_status: ExportStatus
    result_file_path: str | None = Field(description="Relative to the root of the exports volume.")
    result_file_bytes: int | None
    expires_at: Moment | None = Field(description="When the exported file goes, or went.")
    object_deleted_at: Moment | None = Field(description="When the cluster's object was found deleted.")


class ResultView(View):
    """What a task found; its first rows are at `/preview`."""

    rows: int
    columns: tuple[ColumnView, ...]
    preview_rows: int
    preview_truncated: bool


class ExportView(View):
    """A task's exported file."""

    status: ExportStatus
    file_present: bool | None = Field(
        description="Whether the file is there now; `null` where it cannot be seen."
    )
    attempt: int
    path: str | None
    format: str | None
    compression: str | None
    bytes: int | None
    rows: int | None
    sha256: str | None
    files: tuple[FileView, ...]
    expires_at: Moment | None
    removed_at: Moment | None


class LiveView(View):
    """What only the cluster's object knows, of a task that has not ended."""

    progress: int | None = Field(description="0 to 99, an estimate; `null` where there is none.")
    pod_name: str | None
    conditions: tuple[Mapping[str, Any], ...]


class TaskView(TaskItem):
    """Everything of one task but its rows, its steps and its log."""

    parameters: tuple[Mapping[str, Any], ...]
    resources: Mapping[str, Any] = Field(description="As asked for: `cpu`, `memory`, `spill`.")
    spec: Mapping[str, Any] = Field(description="The rest of the object's spec, with its defaults.")
    statistics: Mapping[str, Any]
    result: ResultView | None
    export: ExportView | None
    live: LiveView | None = Field(
        description="`null` once the task has ended, or while the cluster is silent."
    )


class AttemptView(View):
    """One attempt of a task."""

    attempt: int
    pod_name: str
    node: str | None
    granted_at: Moment | None = Field(description="When it got its slot.")
    started_at: Moment | None
    finished_at: Moment | None
    reason: str | None
    message: str
    exit_code: int | None
    statistics: Mapping[str, Any]


class StepView(View):
    """One step of a task: what it became, who saw it, who caused it."""

    id: int = Field(description="Its place in the order of all steps of all tasks.")
    at: Moment
    attempt: int
    status: Status
    state: State
    reason: str
    message: str
    source: str = Field(description="What saw it, such as `reconcile` or `resync`.")
    actor: str | None = Field(description="Who caused it, where a person or another program did.")


class ChangeView(StepView):
    """A step, and whose it is."""

    uid: str
    namespace: str
    name: str


class ResetView(View):
    """The history is another one, or has lost the event that was named: what is known of it is to be asked
    for anew."""

    id: int = Field(description="The place of the newest step; what comes next stands behind it.")


class Page(View):
    """A part of a list of tasks."""

    items: tuple[TaskItem, ...]
    next_cursor: str | None = Field(description="For `cursor`: what follows; `null` at the end.")
    previous_cursor: str | None = Field(
        description="For `cursor`: what comes before; `null` at the beginning."
    )
    page: int | None = Field(description="Counted from 1; `null` on a page that a cursor led to.")
    page_size: int
    count: int | None = Field(description="How many tasks match; only where `count` was asked for.")


class Attempts(View):
    """The attempts of a task, in order."""

    items: tuple[AttemptView, ...]


class Steps(View):
    """The steps of a task, in the order in which they were written."""

    items: tuple[StepView, ...]


def task(found: StoredTask, live: Mapping[str, Any] | None = None, present: bool | None = None) -> TaskView:
    """One task; ``live`` is its object where it has not ended, ``present`` whether its file is there."""
    record, export = found.task, found.export
    ended = record.completed_at is not None
    return TaskView(
        **{name: getattr(record, name) for name in _SHARED},
        **_words(_phase(record, live)),
        sources=tuple(record.sources),
        is_success=record.phase == Phase.SUCCEEDED if ended else None,
        cancel=_cancel(record.cancel),
        export_status=words.export_status_of(export.state if export else None),
        result_file_path=export.path if export else None,
        result_file_bytes=export.bytes if export else None,
        expires_at=export.expires_at if export else None,
        updated_at=found.updated_at,
        sql=record.sql,
        sql_truncated=False,
        sql_hash=found.sql_hash,
        normal_hash=found.normal_hash,
        rows=record.result.rows if record.result else None,
        error=_error(record.error),
        parameters=tuple(record.parameters),
        resources=record.resources,
        spec=record.spec,
        statistics=record.statistics,
        result=_result(record),
        export=_export(export, present),
        live=_live(live),
    )


def attempt(found: AttemptRecord) -> AttemptView:
    """One attempt."""
    names = AttemptView.model_fields
    return AttemptView(**{name: getattr(found, name) for name in names})


def step(found: TransitionRecord) -> StepView:
    """One step."""
    return StepView(**_step(found))


def change(found: ToldTransition) -> ChangeView:
    """One step and whose it is."""
    key = found.key
    return ChangeView(**_step(found.transition), uid=key.uid, namespace=key.namespace, name=key.name)


_SHARED = (
    *("uid", "namespace", "name", "owner", "reason", "message", "attempt", "priority", "task_type"),
    *("template", "retry_of", "metadata", "created_at", "queued_at", "started_at", "completed_at"),
    *("execution_seconds", "object_deleted_at"),
)


def _words(phase: str) -> dict[str, Any]:
    return {"status": words.status_of(phase), "state": words.state_of(phase)}


def cancel_asked(live: Mapping[str, Any] | None) -> bool:
    """Whether somebody has cancelled the object."""
    return live is not None and (live.get("spec") or {}).get("cancel") is True


def _phase(record: TaskRecord, live: Mapping[str, Any] | None) -> str:
    """The phase; a cancellation that was asked for shows before the operator has seen it."""
    waits = record.phase in (Phase.QUEUED, Phase.RUNNING)
    return Phase.CANCELLING if cancel_asked(live) and waits and record.completed_at is None else record.phase


def _error(found: contract.Error | None) -> ErrorView | None:
    if found is None:
        return None
    return ErrorView(
        category=found.category,
        code=found.code,
        message=found.message,
        position=found.position,
        retryable=found.retryable,
        traceback=found.traceback,
    )


def _cancel(found: CancelRecord | None) -> CancelView | None:
    if found is None:
        return None
    return CancelView(**{name: getattr(found, name) for name in CancelView.model_fields})


def _result(record: TaskRecord) -> ResultView | None:
    found = record.result
    if found is None:
        return None
    return ResultView(
        rows=found.rows,
        columns=tuple(ColumnView(name=column.name, type=column.type) for column in found.columns),
        preview_rows=len(found.preview.rows),
        preview_truncated=found.preview.truncated,
    )


def _export(found: ExportRecord | None, present: bool | None) -> ExportView | None:
    if found is None:
        return None
    names = ExportView.model_fields.keys() - {"status", "file_present", "files"}
    return ExportView(
        **{name: getattr(found, name) for name in names},
        status=words.export_status_of(found.state),
        file_present=present,
        files=tuple(
            FileView(name=file.name, bytes=file.bytes, rows=file.rows, sha256=file.sha256)
            for file in found.files
        ),
    )


def _live(found: Mapping[str, Any] | None) -> LiveView | None:
    if found is None:
        return None
    status = found.get("status") or {}
    return LiveView(
        progress=status.get("progress"),
        pod_name=status.get("podName"),
        conditions=tuple(status.get("conditions") or ()),
    )


def _step(found: TransitionRecord) -> dict[str, Any]:
    return {
        "id": found.id or 0,
        "at": found.at,
        "attempt": found.attempt,
        "reason": found.reason,
        "message": found.message,
        "source": found.source,
        "actor": found.actor,
    } | _words(found.phase)
