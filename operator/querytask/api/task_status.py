"""``status`` of a QueryTask: what the operator has seen. All of it can be rebuilt from the cluster, the
mailbox and the history.

Everything is bounded, and the whole stays under 8 KiB; ``bounds`` cuts values to the sizes that stand here
before they are written.
"""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import Field

from querytask.api.fields import Count, Model, Moment, Seconds
from querytask.api.metadata import Condition
from querytask.api.task_spec import Compression, Format
from querytask.names import CancelStep, ExportState, Phase, Reason

PREVIEW_BYTES = 2_048
"""The most that the preview rows take together, in bytes of UTF-8."""
COLUMNS = 50
STATUS_BYTES = 8_192
"""The most that a status takes as JSON, in bytes."""


class ErrorCategory(enum.StrEnum):
    """Who can mend the fault."""

    USER = "User"
    RESOURCE = "Resource"
    EXTERNAL = "External"
    INTERNAL = "Internal"


class Column(Model):
    """A column of the result."""

    name: Annotated[str, Field(max_length=128)]
    """Name of the column, cut to 128 bytes."""
    type: Annotated[str, Field(max_length=128)]
    """DuckDB type of the column, cut to 128 bytes."""


class Result(Model):
    """The result of a task that has succeeded."""

    rows: Count
    """Number of rows of the whole result."""
    columns: Annotated[tuple[Column, ...], Field(max_length=COLUMNS)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """The first columns of the result, at most 50."""
    preview: Annotated[
        tuple[Annotated[str, Field(max_length=PREVIEW_BYTES)], ...], Field(max_length=1_000)
    ] = Field(default=(), json_schema_extra={"x-kubernetes-list-type": "atomic"})
    """The first rows, each the text of a JSON array, so that every digit stays; as many as fit into 2 KiB.
    More are in the manifest."""
    truncated: bool = False
    """Whether columns or rows of the result are missing here."""


class ExportStatus(Model):
    """What became of the exported file."""

    state: Annotated[ExportState, Field(max_length=16)]
    """Available, Expired (its retention is over), Deleted (on request) or NotApplicable (the task exports
    nothing)."""
    path: Annotated[str, Field(max_length=512)] | None = None
    """Where the file is, relative to the root of the exports volume."""
    format: Annotated[Format, Field(max_length=16)] | None = None
    """Format of the file."""
    compression: Annotated[Compression, Field(max_length=16)] | None = None
    """Compression of the file."""
    bytes: Count | None = None
    """Size of all files together, in bytes."""
    rows: Count | None = None
    """Number of rows in all files together."""
    sha256: Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the file, in hexadecimal."""
    files: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Number of files."""
    expires_at: Moment | None = None
    """When the file will be removed, or was."""


class CancelStatus(Model):
    """How a cancellation went."""

    requested_at: Moment
    """When the operator saw the request."""
    reason: Annotated[str, Field(max_length=256)] | None = None
    """Why, in the words of whoever cancelled."""
    step: Annotated[CancelStep, Field(max_length=16)]
    """Requested, Interrupted (the statement returned by itself) or Killed (its process had to be ended)."""
    finished_at: Moment | None = None
    """When the worker was known to be gone."""


class TaskError(Model):
    """Why the task has failed."""

    category: Annotated[ErrorCategory, Field(max_length=16)]
    """Who can mend it: User (the query), Resource (its limits), External (a source) or Internal (the
    cluster or the operator)."""
    code: Annotated[Reason, Field(max_length=64)]
    """The reason once more, as a stable word for scripts."""
    message: Annotated[str, Field(max_length=1_024)] = ""
    """What went wrong, for people; for an error of the query, DuckDB's message."""
    position: Annotated[str, Field(max_length=32, pattern=r"^[0-9]+:[0-9]+$")] | None = None
    """Where in the SQL, as line:column, both from 1, where DuckDB says."""
    retryable: bool = False
    """Whether the same task could succeed when it is run again unchanged."""


class Statistics(Model):
    """What the task took. A measure that was not taken is absent."""

    queue_seconds: Seconds | None = None
    """From creation to the slot, in seconds."""
    start_seconds: Seconds | None = None
    """From the slot to the first statement, in seconds."""
    engine_seconds: Seconds | None = None
    """Running the query, in seconds, without the export where the two can be told apart."""
    export_seconds: Seconds | None = None
    """Writing, syncing and hashing the file, in seconds."""
    peak_memory_bytes: Count | None = None
    """The most memory that the engine held, in bytes."""
    spill_bytes: Count | None = None
    """The most disk that the engine spilled to, in bytes."""


class TaskStatus(Model):
    """What the operator has seen of the task. The conditions are the contract; phase, reason and message
    are for people."""

    phase: Annotated[Phase, Field(max_length=16)] | None = None
    """Queued, Running, Cancelling, or one of the ends Succeeded, Failed and Cancelled, which never change."""
    reason: Annotated[Reason, Field(max_length=64)] | None = None
    """Why the task is in its phase, from a closed set."""
    message: Annotated[str, Field(max_length=1_024)] | None = None
    """The same for people, in a sentence."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        default=(),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Scheduled, Started, Exported, Recorded, Finished (true for every end) and Succeeded (the summary);
    SourcesReady where the task names sources."""
    observed_generation: Count | None = None
    """The metadata.generation that this status was made for."""
    attempt: Annotated[int, Field(ge=0, le=1_000)] | None = None
    """Number of the current or last attempt, from 1. It never falls."""
    pod_name: Annotated[str, Field(max_length=253)] | None = None
    """Name of the current or last attempt's pod."""
    queued_at: Moment | None = None
    """When the operator first saw the task."""
    started_at: Moment | None = None
    """When the container of the current or last attempt started."""
    completed_at: Moment | None = None
    """When the task came to its end."""
    execution_seconds: Seconds | None = None
    """From startedAt to the end of the last attempt, in seconds, as a decimal number in a string."""
    duration: Annotated[str, Field(max_length=16)] | None = None
    """executionSeconds for the eye, such as 2.3s or 4m12s."""
    progress: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percentage of the work that is done: an estimate from 0 to 99 while running, 100 only when
    Succeeded."""
    result: Result | None = None
    """The result of a task that has succeeded."""
    export: ExportStatus | None = None
    """What became of the exported file."""
    cancel: CancelStatus | None = None
    """How a cancellation went."""
    error: TaskError | None = None
    """Why the task has failed."""
    statistics: Statistics | None = None
    """What the task took."""
