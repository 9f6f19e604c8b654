"""``POST /tasks/{id}/retry``: the same query once more, as a new task that says which one it repeats.

The history knows the whole spec, so the object may have gone. Labels are not taken over: a tool that selects
by them, such as one that syncs a repository, would take the new task for its own and remove it.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Request
from starlette.responses import Response

from querytask import errors, names
from querytask.adapters.store import TaskRecord
from querytask.web import identity, words
from querytask.web.callers import TheCaller
from querytask.web.idempotency import IdempotencyKey
from querytask.web.identity import TaskId
from querytask.web.parts import TheParts
from querytask.web.problems import Code, Refusal, documented
from querytask.web.submitting import CREATE, Submitted, made, outcomes, refused
from querytask.web.task import Wait

router = APIRouter(prefix="/api/v1/tasks", tags=["task"])
NAME_CHARACTERS = 50
_GENERATED = re.compile(r"-([a-z0-9]{5}|[0-9a-f]{16})$")


@router.post(
    "/{id}/retry",
    response_model=Submitted,
    status_code=202,
    responses=outcomes()
    | documented(Code.TASK_NOT_FOUND, Code.NOT_YET, Code.KEY_REUSED, Code.ALREADY_EXISTS),
    summary="Run a task again",
)
async def retry(
    uid: TaskId,
    request: Request,
    background: BackgroundTasks,
    caller: TheCaller,
    parts: TheParts,
    wait: Wait = None,
    key: IdempotencyKey = None,
) -> Response:
    """A new task with the same spec, whose `retry_of` is the uid of this one; of a task that has its end,
    also when its object is gone."""
    found = await identity.find(parts, caller, uid)
    await caller.must(CREATE)
    task = found.stored.task
    if not found.stored.finished:
        status = words.status_of(task.phase)
        detail = f'the task "{task.name}" is {status}; it can be run again when it has its end'
        raise Refusal(Code.NOT_YET, detail, field="status", value=str(status))
    raw = repeated(task)
    try:
        return await made(parts, caller, request, background, "retry", raw, key, wait)
    except errors.AlreadyExists as error:
        raise Refusal(Code.ALREADY_EXISTS, str(error)) from error
    except errors.Invalid as error:
        raise refused(error, raw, renamed=False) from error


def repeated(task: TaskRecord) -> dict[str, Any]:
    """The object of the new task."""
    spec: dict[str, Any] = {name: value for name, value in task.spec.items() if name != "cancel"}
    spec |= {"sql": task.sql, "priority": task.priority}
    given = {
        "owner": task.owner,
        "parameters": list(task.parameters),
        "sources": list(task.sources),
        "resources": dict(task.resources),
    }
    spec |= {name: value for name, value in given.items() if value}
    base = _GENERATED.sub("", task.name) if task.retry_of else task.name
    metadata = {
        "generateName": f"{base[:NAME_CHARACTERS].rstrip('-.')}-",
        "annotations": {names.RETRY_OF_ANNOTATION: task.uid},
    }
    return {"apiVersion": names.API_VERSION, "kind": names.TASK_KIND, "metadata": metadata, "spec": spec}
