"""How a record that was just made joins the one in the history. Pure: two records and the time in, one
record out.

For ``steps``. The rules make every write safe to repeat and to reorder: times are kept as they were written
first, what is known is not forgotten, an attempt's number never falls, and a task that has its end keeps
it, whatever a late or mistaken writer says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from querytask.adapters.store.columns import clean, json_text, to_millisecond
from querytask.adapters.store.records import (
    METADATA_BYTES,
    AttemptRecord,
    CancelRecord,
    ExportRecord,
    Moment,
    TaskRecord,
)
from querytask.names import DELETED, TERMINAL_PHASES, ExportState

_IDENTITY = ("owner", "sql", "parameters", "sources", "resources", "spec", "template", "retry_of")
_LIVE = ("task_type", "priority", "metadata", "ttl_due_at")
_STORY = (
    "phase",
    "reason",
    "message",
    "phase_since",
    "queued_at",
    "started_at",
    "completed_at",
    "execution_seconds",
    "cancel",
    "error",
    "result",
    "statistics",
)

R = TypeVar("R", TaskRecord, AttemptRecord, ExportRecord, CancelRecord)


def terminal(phase: str) -> bool:
    """Whether a task in ``phase`` has its end."""
    return phase == DELETED or phase in TERMINAL_PHASES


def task(old: TaskRecord | None, new: TaskRecord, now: Moment) -> TaskRecord:
    """The row after ``new`` was told; ``now`` stands in for the times that it does not name."""
    new = rounded(new)
    if old is None:
        return replace(new, phase_since=new.phase_since or now, completed_at=_completed(new, now))
    kept: dict[str, Any] = {name: _known(old, new, name) for name in _IDENTITY}
    kept |= {name: getattr(new, name) for name in _LIVE}
    kept |= _story(old, new, now)
    kept["attempt"] = max(old.attempt, new.attempt)
    kept["object_deleted_at"] = old.object_deleted_at or new.object_deleted_at
    return replace(old, **kept)


def attempt(old: AttemptRecord | None, new: AttemptRecord) -> AttemptRecord:
    """The attempt after ``new`` was told."""
    new = rounded(new)
    if old is None:
        return new
    times = {name: _known(old, new, name) for name in ("granted_at", "started_at", "finished_at")}
    rest = ("pod_name", "reason", "message", "exit_code", "node", "statistics")
    return replace(old, **times, **{name: _known(new, old, name) for name in rest})


def export(old: ExportRecord | None, new: ExportRecord) -> ExportRecord:
    """The export after ``new`` was told: files that were removed stay so."""
    new = rounded(new)
    if old is None:
        return new
    merged = replace(old, **{item.name: _known(new, old, item.name) for item in fields(old)})
    if old.removed_at is None:
        return merged
    return replace(merged, state=old.state, removed_at=old.removed_at)


def removed(old: ExportRecord, state: str, at: Moment) -> ExportRecord:
    """The export whose files went at ``at``: there is nothing to expire where nothing was exported."""
    if old.removed_at is not None:
        return old
    gone = old.state if old.state == ExportState.NOT_APPLICABLE else state
    return replace(old, state=gone, removed_at=to_millisecond(at))


def rounded(record: R) -> R:
    """``record`` as it will be read again: its times to the millisecond, its lists as tuples, its metadata
    within bounds."""
    changed: dict[str, Any] = {
        item.name: to_millisecond(value)
        for item in fields(record)
        if isinstance(value := getattr(record, item.name), Moment)
    }
    if isinstance(record, TaskRecord):
        changed |= {"sources": tuple(record.sources), "parameters": tuple(record.parameters)}
        changed["metadata"] = bounded(record.metadata)
        changed["cancel"] = rounded(record.cancel) if record.cancel else None
    return replace(record, **changed)


def bounded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """``metadata`` within ``METADATA_BYTES``: the longest entries are left out, so that as many as possible
    stay."""
    kept = dict(metadata)
    for key in sorted(kept, key=lambda name: -_size({name: kept[name]})):
        if _size(kept) <= METADATA_BYTES:
            break
        del kept[key]
    return kept


def _size(value: Any) -> int:
    return len(clean(json_text(value)).encode())


def _story(old: TaskRecord, new: TaskRecord, now: Moment) -> dict[str, Any]:
    if terminal(old.phase):
        same = new.phase == old.phase
        return {name: _known(old, new, name) if same else getattr(old, name) for name in _STORY}
    if new.attempt < old.attempt and not terminal(new.phase):
        return {name: getattr(old, name) for name in _STORY}
    story = {name: getattr(new, name) for name in _STORY}
    entered = old.phase_since if old.phase == new.phase else None
    return story | {
        "phase_since": entered or new.phase_since or now,
        "queued_at": old.queued_at or new.queued_at,
        "started_at": new.started_at if new.attempt > old.attempt else old.started_at or new.started_at,
        "completed_at": _completed(new, now),
        "cancel": _cancel(old.cancel, new.cancel),
        "result": new.result or old.result,
        "statistics": new.statistics or old.statistics,
    }


def _completed(new: TaskRecord, now: Moment) -> Moment | None:
    return (new.completed_at or now) if terminal(new.phase) else None


def _cancel(old: CancelRecord | None, new: CancelRecord | None) -> CancelRecord | None:
    if old is None or new is None:
        return new or old
    rest = {name: _known(new, old, name) for name in ("reason", "step", "actor")}
    return replace(old, finished_at=old.finished_at or new.finished_at, **rest)


def _known(first: object, second: object, name: str) -> Any:
    """The value of ``first``, or that of ``second`` where ``first`` has none; a zero is a value, an empty
    text or list is none."""
    value = getattr(first, name)
    return getattr(second, name) if value is None or value in ("", (), [], {}) else value
