"""What the operator and a worker say to each other: the files of the mailbox, the classes of an end, the exit
codes.

The operator imports this module and nothing else of the worker, so it holds plain dataclasses and the
standard library only. A task's directory on the exports volume is the mailbox. Seen from the root of that
volume it looks like this; the worker sees its own task's directory, mounted as ``TASK_DIR``, and no other:

    <namespace>/<task uid>/
        _manifest.json              the published result: a hard link to the manifest of the attempt that won
        <attempt>/
            _assignment.json        operator -> worker, written before the pod is created
            _progress.json          worker -> operator, replaced at most once a second
            _outcome.json           worker -> operator, how it ended: fsync and rename, before the exit
            _worker.log             the tail of the worker's log
            _manifest.json          of this attempt, written last, then linked one folder up
            <files of the export>   under their final names; while it is written, ``export.partial``

JSON keys are camelCase, as in the objects of the API; times are RFC 3339 in UTC with milliseconds; sizes are
bytes and durations seconds. A reader ignores keys that it does not know and takes the default for a key that
is missing, so an operator and a worker of neighbouring releases understand each other.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union

VERSION = 1

TASK_DIR = "/task"
"""Where the worker sees its task's directory."""
DATA_DIR = "/data"
"""Where the worker sees its sources, one directory each; the engine's working directory."""
SPILL_DIR = "/spill"
"""Where the engine may spill; also ``HOME`` and ``TMPDIR``."""
TERMINATION_LOG = "/dev/termination-log"
TERMINATION_BYTES = 4096
"""What the kubelet keeps of a termination message, in bytes."""

ASSIGNMENT_FILE = "_assignment.json"
PROGRESS_FILE = "_progress.json"
OUTCOME_FILE = "_outcome.json"
MANIFEST_FILE = "_manifest.json"
LOG_FILE = "_worker.log"
PARTIAL_SUFFIX = ".partial"

MEMORY_ENV = "QUERYTASK_MEMORY_BYTES"
"""The container's memory limit in bytes, from the downward API: what the pod really got, whatever was asked
for."""
CPU_ENV = "QUERYTASK_CPU_MILLIS"
"""The container's CPU limit in thousandths of a core, from the downward API."""

PREVIEW_BYTES = 256 * 1024
"""The most that the preview rows of a manifest take as JSON text, in bytes."""
CELL_BYTES = 4096
"""The most that one cell of a preview takes as JSON text, in bytes; a longer one is cut and marked."""


class ExitCode(enum.IntEnum):
    """The exit code of the worker process, by the class of the end."""

    COMPLETED = 0
    SQL_ERROR = 10
    SQL_NOT_ALLOWED = 11
    PARAMETER_ERROR = 12
    TIMEOUT = 20
    STOPPED = 21
    OUT_OF_MEMORY = 30
    SPILL_FULL = 31
    EXPORT_VOLUME_FULL = 32
    SOURCE_UNREACHABLE = 40
    INTERNAL_ERROR = 70

    @property
    def reason(self) -> str:
        """The reason that the worker gives for this end; ``Stopped`` is no reason of a task: the operator
        names that end."""
        return _REASONS[self]


_REASONS = {
    ExitCode.COMPLETED: "Completed",
    ExitCode.SQL_ERROR: "SqlError",
    ExitCode.SQL_NOT_ALLOWED: "SqlNotAllowed",
    ExitCode.PARAMETER_ERROR: "ParameterError",
    ExitCode.TIMEOUT: "Timeout",
    ExitCode.STOPPED: "Stopped",
    ExitCode.OUT_OF_MEMORY: "OutOfMemory",
    ExitCode.SPILL_FULL: "SpillFull",
    ExitCode.EXPORT_VOLUME_FULL: "ExportVolumeFull",
    ExitCode.SOURCE_UNREACHABLE: "SourceUnreachable",
    ExitCode.INTERNAL_ERROR: "InternalError",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One bound value: DuckDB casts its text to ``type``; neither ``value`` nor ``values`` means NULL."""

    name: str
    type: str
    value: str | None = None
    values: tuple[str | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """The file to write: ``format`` and ``compression`` as in the API (``Parquet``, ``Zstd``), ``file_name``
    final, with its endings."""

    format: str
    compression: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one attempt is to do. Everything is resolved: a worker knows no defaults of the API."""

    namespace: str
    name: str
    uid: str
    attempt: int
    sql: str
    timeout_seconds: float
    """From the start of the container to the end of the statement's run, the export included."""
    retention_seconds: float
    """From publication to the manifest's ``expiresAt``."""
    memory_bytes: int
    """The memory limit of the container; ``MEMORY_ENV`` wins where it is set."""
    cpu_millis: int
    spill_bytes: int
    """The cap of the engine's temporary files."""
    preview_rows: int = 20
    parameters: tuple[Parameter, ...] = ()
    sources: tuple[str, ...] = ()
    """Names of the volume sources: directories under ``DATA_DIR``."""
    export: Export | None = None
    """``None``: a preview-only task."""
    owner: str = ""
    stop_grace_seconds: float = 2.0
    """How long an interrupted statement may take to return before its process is killed."""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt has come."""

    attempt: int
    step: str
    """``Starting``, ``Running``, ``Exporting`` or ``Publishing``."""
    percent: int | None
    """0..99, an estimate; ``None`` where the engine has none."""
    updated_at: str
    rows: int | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Error:
    """Why a query did not succeed."""

    code: str
    """The reason: one of ``ExitCode.reason``."""
    message: str
    category: str
    """``User``, ``Resource``, ``External`` or ``Internal``."""
    position: str | None = None
    """Where in the SQL, as ``line:column`` (from 1), where DuckDB says."""
    retryable: bool = False
    traceback: str | None = None
    """Of the worker, for internal errors only; never shown in the object's status."""


@dataclass(frozen=True, slots=True)
class Stop:
    """How a stop went. The step is what the supervisor saw, never guessed from an exception's type."""

    step: str
    """``Interrupted``: the statement returned by itself; ``Killed``: the supervisor had to kill the engine
    process."""
    requested_at: str
    finished_at: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the attempt took; ``None`` where it was not measured."""

    start_seconds: float | None = None
    """From the start of the supervisor to the first statement of the user."""
    engine_seconds: float | None = None
    """Running the query, without the export where the two can be told apart."""
    export_seconds: float | None = None
    """Writing, syncing and hashing the file."""
    peak_memory_bytes: int | None = None
    spill_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its supervisor saw it; also, cut to size, the termination message of the
    container."""

    attempt: int
    exit_code: int
    reason: str
    started_at: str
    finished_at: str
    error: Error | None = None
    stop: Stop | None = None
    statistics: Statistics = field(default_factory=Statistics)
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result: its name and its DuckDB type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of the export, its ``name`` relative to the attempt's directory."""

    name: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows.

    Each is the text of a JSON array, so that no digit passes through a double on its way.
    """

    rows: tuple[str, ...] = ()
    truncated: bool = False
    """True when the result has more rows than are shown here, or when a cell was cut."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The published result of a task: whoever finds it under the task's own directory knows that the task has
    succeeded."""

    namespace: str
    name: str
    uid: str
    attempt: int
    started_at: str
    published_at: str
    expires_at: str
    sql_sha256: str
    duckdb_version: str
    rows: int
    columns: tuple[Column, ...] = ()
    preview: Preview = field(default_factory=Preview)
    format: str | None = None
    """``None``, with ``compression``, for a preview-only task, whose manifest lists no files."""
    compression: str | None = None
    files: tuple[File, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)
    owner: str = ""
    version: int = VERSION


def timestamp(moment: dt.datetime) -> str:
    """The text of an aware ``moment``: RFC 3339, UTC, milliseconds."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def dump(message: Any) -> bytes:
    """The JSON text of a message of this module, UTF-8, keys in camelCase, ``None`` left out."""
    return json.dumps(_plain(message), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


M = TypeVar("M")


def load(kind: type[M], text: bytes | str) -> M:
    """Read a message of type ``kind``.

    Raises ``ValueError`` when the text is no JSON object, lacks a key without a default or holds a value of
    another type.
    """
    try:
        data = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{kind.__name__} must be JSON: {error}") from error
    return typing.cast(M, _build(kind, data, kind.__name__))


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((_camel(f.name), getattr(value, f.name)) for f in dataclasses.fields(value))
        return {key: _plain(item) for key, item in pairs if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(hint: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        return _build(next(arm for arm in typing.get_args(hint) if arm is not type(None)), data, where)
    if origin is tuple:
        return tuple(_build(typing.get_args(hint)[0], item, where) for item in _expect(data, list, where))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build_message(hint, _expect(data, dict, where), where)
    return _scalar(hint, data, where)


def _build_message(kind: type, data: dict[str, Any], where: str) -> Any:
    hints, arguments = _hints(kind), {}
    for item in dataclasses.fields(kind):
        key = _camel(item.name)
        if key in data:
            arguments[item.name] = _build(hints[item.name], data[key], f"{where}.{key}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            if type(None) not in typing.get_args(hints[item.name]):
                raise ValueError(f"{where}.{key} must be there")
            arguments[item.name] = None
    return kind(**arguments)


def _scalar(hint: type, data: Any, where: str) -> Any:
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if hint is int and isinstance(data, bool):
        raise ValueError(f"{where} must be int, not {data!r}")
    return _expect(data, hint, where)


def _expect(data: Any, kind: type, where: str) -> Any:
    if not isinstance(data, kind):
        raise ValueError(f"{where} must be {kind.__name__}, not {str(data)[:80]!r}")
    return data
