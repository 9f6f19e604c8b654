"""What goes into the history and what comes out of it: frozen values, without a type of the database
library among them.

For the reconciler, which writes them, the collector and the API, which read them. Times are aware
``datetime``s, kept to the millisecond. Columns, errors, previews and files are the worker's own messages
(``querytask_worker.contract``), so that a result looks the same in the mailbox, in the object and here.

Fields of a ``TaskRecord`` come in three kinds, and ``merge`` holds them to it:

    identity    uid to spec: what the task is; what is known stays, what was not known is filled in
    live        priority, metadata and ttl_due_at follow the object for as long as it lives
    story       all else: follows the task until its end, then stands still; only gaps are filled after it
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from querytask.names import DELETED, ExportState
from querytask_worker.contract import Column, Error, File, Preview

Json = Any
"""What ``json`` can write: the parsed parts of an object."""
Moment = dt.datetime

METADATA_BYTES = 4096
"""The most that ``metadata`` takes as JSON, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """The rows that a task found: their number, their columns and the first of them."""

    rows: int
    columns: tuple[Column, ...] = ()
    preview: Preview = field(default_factory=Preview)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRecord:
    """How a cancellation went; ``requested_at`` is kept as it was written first."""

    requested_at: Moment
    reason: str | None = None
    step: str | None = None
    finished_at: Moment | None = None
    actor: str | None = None
    """Who asked for it, as far as the cluster tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task as it is known at one moment. Writing the same record again changes nothing."""

    uid: str
    namespace: str
    name: str
    created_at: Moment
    """``metadata.creationTimestamp``; written once."""
    owner: str = ""
    sql: str = ""
    parameters: Sequence[Mapping[str, Json]] = ()
    sources: Sequence[str] = ()
    resources: Mapping[str, Json] = field(default_factory=dict)
    """As asked for: ``cpu``, ``memory``, ``spill``."""
    spec: Mapping[str, Json] = field(default_factory=dict)
    """The rest of the object's spec, with its defaults: enough to submit the same task again."""
    task_type: str = "query"
    template: str | None = None
    retry_of: str | None = None
    """The uid of the task that this one repeats."""

    priority: int = 0
    metadata: Mapping[str, Json] = field(default_factory=dict)
    """Labels and chosen annotations; cut to ``METADATA_BYTES``, the longest entries first."""
    ttl_due_at: Moment | None = None
    """When ``ttlAfterFinished`` is over and the object is to be deleted."""

    phase: str
    """One of ``names.Phase``, or ``names.DELETED``."""
    reason: str | None = None
    message: str = ""
    phase_since: Moment | None = None
    """When the task came into this phase; the store's clock where it is not given."""
    attempt: int = 0
    """Of the current or last attempt; it never falls."""
    queued_at: Moment | None = None
    """Written once."""
    started_at: Moment | None = None
    """Of the current or last attempt; written once for each attempt."""
    completed_at: Moment | None = None
    """Written once; of a task in a terminal phase, the store's clock where it is not given."""
    execution_seconds: float | None = None
    cancel: CancelRecord | None = None
    error: Error | None = None
    result: ResultRecord | None = None
    statistics: Mapping[str, Json] = field(default_factory=dict)

    object_deleted_at: Moment | None = None
    """When the object was found deleted; written once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt. Every time is written once, and nothing that is known is forgotten."""

    attempt: int
    pod_name: str = ""
    granted_at: Moment | None = None
    """When the attempt got its slot: the start deadline counts from here."""
    started_at: Moment | None = None
    """When its container started."""
    finished_at: Moment | None = None
    reason: str | None = None
    """How it ended: a reason of ``names.Reason``."""
    message: str = ""
    exit_code: int | None = None
    node: str | None = None
    statistics: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRecord:
    """The published files of a task. Also for a preview-only task (``NotApplicable``), whose directory
    expires all the same."""

    attempt: int
    """The attempt that published."""
    state: str = ExportState.AVAILABLE
    path: str | None = None
    """Of the file, relative to the root of the exports volume."""
    format: str | None = None
    compression: str | None = None
    bytes: int | None = None
    rows: int | None = None
    sha256: str | None = None
    files: tuple[File, ...] = ()
    expires_at: Moment | None = None
    removed_at: Moment | None = None
    """When the files were removed; set by ``mark_export``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRecord:
    """One step of a task, told once: the same attempt, phase and reason a second time is no new row."""

    attempt: int
    phase: str
    reason: str
    at: Moment
    message: str = ""
    source: str = ""
    """What saw it: ``reconcile``, ``resync``, ``watchdog``, ``mailbox``, …"""
    actor: str | None = None
    """Who caused it, where a person or another program did."""
    id: int | None = None
    """Its place in the order of all transitions; given by the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTask:
    """What the history holds of one task."""

    task: TaskRecord
    sql_hash: str
    """SHA-256 of the SQL text, in hexadecimal."""
    normal_hash: str = ""
    """The same of the form that all spellings of the query share: ``core.sql_text``."""
    updated_at: Moment
    """When the row last changed."""
    version: int = 0
    """Grows with each change of any task of the namespace; a change of the export alone is none."""
    attempts: tuple[AttemptRecord, ...] = ()
    export: ExportRecord | None = None

    @property
    def finished(self) -> bool:
        """Whether the row has its end: a terminal phase or ``Deleted``."""
        return self.task.completed_at is not None

    def attempt(self, number: int) -> AttemptRecord | None:
        """The attempt of that number."""
        return next((item for item in self.attempts if item.attempt == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a task ended whose object is gone: as its mailbox tells, else ``Deleted``."""

    phase: str = DELETED
    reason: str | None = None
    message: str = "the object was deleted before the task had ended"
    completed_at: Moment | None = None
    """``None``: the time of the deletion."""
    execution_seconds: float | None = None
    error: Error | None = None
    result: ResultRecord | None = None
    statistics: Mapping[str, Json] = field(default_factory=dict)
    attempt: AttemptRecord | None = None
    export: ExportRecord | None = None
    source: str = "resync"


GONE = Ending()
"""The end of a task of which nothing more is known than that its object is gone."""


@dataclass(frozen=True, slots=True)
class TaskKey:
    """Which task, as the cluster names it."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DueExport:
    """An export whose time is over."""

    key: TaskKey
    state: str
    expires_at: Moment


@dataclass(frozen=True, slots=True)
class PhaseFigures:
    """How many tasks whose objects exist are in a phase, and since when the oldest of them is."""

    count: int
    oldest_since: Moment


SUMMARY_SQL = 1000
"""How much of its SQL a summary shows, in characters."""


def as_it_is(found: TaskSummary) -> TaskSummary:
    """How a list shows a task where nobody asks for another form."""
    return found


class TaskSummary(NamedTuple):
    """A task as a list shows it: what is short. ``Store.get`` has the rest.

    A tuple, which is made in a fraction of the time of the other records: a list has ten thousand. First what
    is a column, in the order in which ``search_rows`` asks for it, then what is made of several.
    """

    uid: str
    namespace: str
    name: str
    owner: str
    task_type: str
    template: str | None
    retry_of: str | None
    priority: int
    phase: str
    """One of ``names.Phase``, or ``names.DELETED``."""
    phase_since: Moment
    reason: str | None
    message: str
    attempt: int
    created_at: Moment
    queued_at: Moment | None
    started_at: Moment | None
    completed_at: Moment | None
    updated_at: Moment
    version: int
    """As of ``StoredTask``."""
    execution_seconds: float | None
    object_deleted_at: Moment | None
    sql: str
    """The first ``SUMMARY_SQL`` characters."""
    sql_length: int
    """How many characters the whole text has."""
    sql_hash: str
    """SHA-256 of the SQL text, in hexadecimal."""
    normal_hash: str
    """The same of the form that all spellings of the query share."""
    metadata: Mapping[str, Json]
    rows: int | None
    """How many rows a task found that succeeded."""

    sources: tuple[str, ...]
    cancel: CancelRecord | None
    error: Error | None
    """Without its traceback."""
    export: ExportRecord | None
    """Without ``files``."""


@dataclass(frozen=True, slots=True)
class ToldTransition:
    """A step and whose it is: what a feed of all changes is made of."""

    key: TaskKey
    transition: TransitionRecord


@dataclass(frozen=True, slots=True)
class HistoryFigures:
    """What a history holds of one namespace."""

    counts: Mapping[str, int]
    """Tasks by phase, ``Deleted`` among them, whether their object exists or not; no phase without a task."""
    oldest_waiting: Moment | None
    """Since when the task waits that is Queued the longest, of those whose object exists."""
