"""A task of a list as JSON, past the models that describe it. For ``tasks``.

A page has hundreds of tasks and a list of uids ten thousand: to make a model of each and have it written
takes much of an answer's time. The text is what ``views.TaskItem`` says, to the byte; a test reads it back.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic_core import to_json

from querytask.adapters.store import CancelRecord, TaskSummary
from querytask.names import ExportState, Phase
from querytask.web import words
from querytask.web.views import moment_text
from querytask_worker.contract import Error

_WORDS = {str(phase): (found.status.value, found.state.value) for phase, found in words.PHASES.items()}
_EXPORTS = {str(state): word.value for state, word in words.EXPORTS.items()}
"""The words as plain text, which is written in half of the time."""


def item_text(found: TaskSummary) -> bytes:
    """The JSON of a task of a list."""
    export, ended = found.export, found.completed_at is not None
    status, state = _WORDS[found.phase]
    return to_json(
        {
            "uid": found.uid,
            "namespace": found.namespace,
            "name": found.name,
            "owner": found.owner,
            "status": status,
            "state": state,
            "reason": found.reason,
            "message": found.message,
            "attempt": found.attempt,
            "priority": found.priority,
            "task_type": found.task_type,
            "template": found.template,
            "retry_of": found.retry_of,
            "sql": found.sql,
            "sql_truncated": found.sql_length > len(found.sql),
            "sql_hash": found.sql_hash,
            "normal_hash": found.normal_hash,
            "sources": found.sources,
            "metadata": found.metadata,
            "created_at": _moment(found.created_at),
            "queued_at": _moment(found.queued_at),
            "started_at": _moment(found.started_at),
            "completed_at": _moment(found.completed_at),
            "updated_at": _moment(found.updated_at),
            "execution_seconds": found.execution_seconds,
            "is_success": found.phase == Phase.SUCCEEDED if ended else None,
            "error": _error(found.error),
            "cancel": _cancel(found.cancel),
            "rows": found.rows,
            "export_status": _EXPORTS[export.state if export else ExportState.NOT_APPLICABLE],
            "result_file_path": export.path if export else None,
            "result_file_bytes": export.bytes if export else None,
            "expires_at": _moment(export.expires_at) if export else None,
            "object_deleted_at": _moment(found.object_deleted_at),
        },
        inf_nan_mode="null",
    )


def _moment(found: dt.datetime | None) -> str | None:
    return None if found is None else moment_text(found)


def _error(found: Error | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "category": found.category,
        "code": found.code,
        "message": found.message,
        "position": found.position,
        "retryable": found.retryable,
        "traceback": None,
    }


def _cancel(found: CancelRecord | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "requested_at": _moment(found.requested_at),
        "reason": found.reason,
        "step": found.step,
        "finished_at": _moment(found.finished_at),
        "actor": found.actor,
    }
