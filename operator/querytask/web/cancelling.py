"""``POST /tasks/{id}/cancel``: one PATCH in the caller's name, which sets ``spec.cancel`` and says why.

The answer does not wait for the worker: it says that the cluster has the wish. A task that has its end
refuses, whoever learns of that end first, this API or the API server. The PATCH holds only where nobody has
cancelled before, so the first reason stays, whoever is quicker; to cancel once more is answered the same and
changes nothing.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Body, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from querytask import errors, names
from querytask.adapters.caller import Access
from querytask.adapters.store import StoredTask, TaskRecord
from querytask.names import Phase
from querytask.web import identity, views, words
from querytask.web.answers import answer
from querytask.web.callers import Caller, TheCaller, forbidden
from querytask.web.idempotency import manager
from querytask.web.identity import Found, TaskId
from querytask.web.noting import note
from querytask.web.parts import TheParts
from querytask.web.problems import Code, Refusal, documented

router = APIRouter(prefix="/api/v1/tasks", tags=["task"])
REASON_CHARACTERS = 256
TRIES = 5
"""How often a change of the object in between is looked at; two are enough where nobody annotates it."""


class Cancellation(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(
        "", max_length=REASON_CHARACTERS, description="Shown in the task's status and in the history."
    )


@router.post(
    "/{id}/cancel",
    response_model=views.TaskView,
    status_code=202,
    responses=documented(Code.TASK_NOT_FOUND, Code.TASK_FINISHED, Code.CONFLICT),
    summary="Cancel a task",
)
async def cancel(
    uid: TaskId,
    request: Request,
    background: BackgroundTasks,
    caller: TheCaller,
    parts: TheParts,
    body: Annotated[Cancellation | None, Body()] = None,
) -> Response:
    """Stop a task that waits or runs. Safe to repeat until it has its end, which it then has within seconds;
    400 when it has ended, 404 when there is none."""
    found = await identity.find(parts, caller, uid)
    if found.stored.finished or _has_ended(found.live):
        await _must_patch(caller, found.stored.task)
        raise finished(found.stored.task)
    if found.stored.task.phase == Phase.CANCELLING or views.cancel_asked(found.live):
        await _must_patch(caller, found.stored.task)
        return _answer(found.stored, found.live or {"spec": {"cancel": True}}, caller)
    reason = body.reason if body else ""
    raw, first = await _cancelled(caller, found, reason)
    if first:
        background.add_task(note, parts, caller, request, "cancel", found.stored.task, reason)
    return _answer(found.stored, raw, caller)


def _has_ended(raw: identity.Raw | None) -> bool:
    """Whether the object has its end, which the history may not know yet."""
    return raw is not None and (raw.get("status") or {}).get("phase") in names.TERMINAL_PHASES


async def _must_patch(caller: Caller, task: TaskRecord) -> None:
    """Where nothing is written the cluster does not say by itself who may."""
    # First what is known for all tasks: the word on one would be asked for anew for each.
    if not (await caller.may(Access("patch")) or await caller.may(Access("patch", name=task.name))):
        raise _no_right(caller)


async def _cancelled(caller: Caller, found: Found, reason: str) -> tuple[identity.Raw, bool]:
    """The object with the wish in it, and whether it is this caller's."""
    task, annotated = found.stored.task, _is_annotated(found.live)
    for _ in range(TRIES):
        try:
            return await _patched(caller, task, _changes(task, reason, annotated=annotated)), True
        except errors.Invalid as error:
            live = await _looked_at(caller, task)
            if views.cancel_asked(live):
                await _must_patch(caller, task)
                return live, False
            if error.causes:
                raise
            annotated = _is_annotated(live)
    raise Refusal(Code.CONFLICT, f'the task "{task.name}" is being changed by somebody else; try again')


def _is_annotated(raw: identity.Raw | None) -> bool:
    return raw is not None and bool((raw.get("metadata") or {}).get("annotations"))


async def _looked_at(caller: Caller, task: TaskRecord) -> identity.Raw:
    """The object as it is; raises where it has its end, or is another one's by now."""
    try:
        live = await caller.cluster.get_task(task.name)
    except errors.NotFound as error:
        raise _gone(task) from error
    if live["metadata"]["uid"] != task.uid:
        raise _gone(task)
    if _has_ended(live):
        raise finished(task)
    return live


def _changes(task: TaskRecord, reason: str, *, annotated: bool) -> list[identity.Raw]:
    """What is to be done to the object, all or nothing. A place in annotations that are not there cannot be
    written to, nor may those that are there be written over."""
    changes: list[identity.Raw] = [
        {"op": "test", "path": "/metadata/uid", "value": task.uid},
        {"op": "test", "path": "/spec/cancel", "value": False},
        {"op": "replace", "path": "/spec/cancel", "value": True},
    ]
    if reason and annotated:
        place = names.CANCEL_REASON_ANNOTATION.replace("~", "~0").replace("/", "~1")
        changes.append({"op": "add", "path": f"/metadata/annotations/{place}", "value": reason})
    elif reason:
        given = {names.CANCEL_REASON_ANNOTATION: reason}
        changes.append({"op": "test", "path": "/metadata/annotations", "value": None})
        changes.append({"op": "add", "path": "/metadata/annotations", "value": given})
    return changes


async def _patched(caller: Caller, task: TaskRecord, changes: list[identity.Raw]) -> identity.Raw:
    try:
        return await caller.cluster.patch_task(task.name, changes, manager=manager(caller))
    except errors.Forbidden as error:
        raise _no_right(caller) from error
    except errors.Invalid as error:
        if "spec.cancel" in {field for field, _ in error.causes}:
            raise finished(task) from error
        raise
    except errors.NotFound as error:
        raise _gone(task) from error


def _no_right(caller: Caller) -> Refusal:
    return forbidden(caller.principal, Access("patch"), caller.cluster.connections.namespace)


def finished(task: TaskRecord) -> Refusal:
    """A 400 for a task that has its end."""
    if task.completed_at is None:
        return Refusal(Code.TASK_FINISHED, f'the task "{task.name}" has ended; it cannot be cancelled')
    status = words.status_of(task.phase)
    ended = task.completed_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    detail = f'the task "{task.name}" is {status} since {ended}; it cannot be cancelled any more'
    return Refusal(Code.TASK_FINISHED, detail, field="status", value=str(status))


def _gone(task: TaskRecord) -> Refusal:
    detail = f'the object of the task "{task.name}" was deleted, which has ended it'
    return Refusal(Code.TASK_FINISHED, detail, field="status", value=str(words.Status.DELETED))


def _answer(stored: StoredTask, live: identity.Raw, caller: Caller) -> Response:
    headers = {"Location": f"{router.prefix}/{stored.task.uid}", "Cache-Control": "no-store"}
    return answer(views.task(stored, live), 202, headers)
