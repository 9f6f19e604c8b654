"""One task: all of it, its steps and its attempts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from querytask import errors
from querytask.adapters.store import StoredTask
from querytask.api import durations
from querytask.names import ExportState
from querytask.web import identity, views
from querytask.web.answers import answer, etag, matches, tagged, written
from querytask.web.callers import Caller, TheCaller
from querytask.web.feed import Watch
from querytask.web.identity import Found, TaskId
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Code, documented
from querytask.web.waiting import first

router = APIRouter(prefix="/api/v1/tasks", tags=["task"])
ANSWERS = documented(Code.TASK_NOT_FOUND)
TAGGED = ANSWERS | {304: {"description": "The task is as it was: `If-None-Match` has its `ETag`."}}

LOOK_SECONDS = 1.0
"""Between two looks at a task that has its end, for whoever waits for it to change."""


def _duration(text: str) -> str:
    durations.seconds(text)
    return text


Wait = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else _duration(text)),
    Query(max_length=32, description="How long to wait, such as `30s`; cut to what the API allows."),
]


def wait_seconds(parts: Parts, wait: str | None) -> float:
    """How long a request waits."""
    return 0.0 if wait is None else min(durations.seconds(wait), parts.settings.api_max_wait_seconds)


@router.get("/{id}", response_model=views.TaskView, responses=TAGGED, summary="Look at a task")
async def get_task(
    uid: TaskId, request: Request, caller: TheCaller, parts: TheParts, wait: Wait = None
) -> Response:
    """Everything of one task; of one that has not ended also what its object says now.

    `wait` answers when the task takes its next step, at once when it has ended, and with what is there when
    the time is over. With `If-None-Match` it answers at once when the task is no longer what the ETag stands
    for, and waits for any change of one that is, though it has ended: its file expires or goes, its object is
    deleted.
    """
    seconds = wait_seconds(parts, wait)
    if not seconds:
        return tagged(request, await _written(parts, caller, await identity.find(parts, caller, uid)))
    async with parts.feed.watching() as watch:
        found = await identity.find(parts, caller, uid)
        body = await _written(parts, caller, found)
        known = "if-none-match" in request.headers
        if (known and not matches(request, etag(body))) or (found.stored.finished and not known):
            return tagged(request, body)
        if found.stored.finished:
            await _other(parts, caller, request, watch, found.uid, seconds)
        else:
            await changed(parts, watch, found.uid, seconds)
    # Asked anew as a whole: in the meantime the caller may have lost the right to see it.
    return tagged(request, await _written(parts, caller, await identity.find(parts, caller, uid)))


async def _other(
    parts: Parts, caller: Caller, request: Request, watch: Watch, uid: str, seconds: float
) -> None:
    """Wait until a task that has its end is not what the caller knows, or until the API is stopped. What may
    still change of it is no step, so it is looked at now and then."""
    until = parts.monotonic() + seconds
    while (left := until - parts.monotonic()) > 0 and not parts.stopping.is_set():
        await changed(parts, watch, uid, min(left, LOOK_SECONDS))
        body = await _written(parts, caller, await identity.find(parts, caller, uid))
        if not matches(request, etag(body)):
            return


@router.get("/{id}/events", response_model=views.Steps, responses=ANSWERS, summary="What became of a task")
async def get_events(uid: TaskId, caller: TheCaller, parts: TheParts) -> Response:
    """Its steps, with who and when, in the order in which they were written."""
    found = await identity.find(parts, caller, uid)
    steps = await parts.store.transitions(found.uid)
    return answer(views.Steps(items=tuple(map(views.step, steps))))


@router.get("/{id}/attempts", response_model=views.Attempts, responses=ANSWERS, summary="A task's attempts")
async def get_attempts(uid: TaskId, caller: TheCaller, parts: TheParts) -> Response:
    """Each with its pod, its times and how it ended."""
    found = await identity.find(parts, caller, uid)
    return answer(views.Attempts(items=tuple(map(views.attempt, found.stored.attempts))))


async def changed(parts: Parts, watch: Watch, uid: str, seconds: float) -> bool:
    """Wait for a task's next step, or until the API is stopped; whether there was one."""
    return bool(await first(watch.changed(uid, seconds), parts.stopping.wait()))


async def _written(parts: Parts, caller: Caller, found: Found) -> bytes:
    live = await identity.live_of(caller, found)
    return written(views.task(found.stored, live, await file_present(parts, found.stored)))


async def file_present(parts: Parts, stored: StoredTask) -> bool | None:
    """Whether the exported file is there; ``None`` where there never was one, or where it cannot be seen."""
    export, task = stored.export, stored.task
    if export is None or not export.files:
        return None
    if export.state != ExportState.AVAILABLE:
        return False
    try:
        return await parts.volume.has_file(task.namespace, task.uid, export.attempt, export.files[0].name)
    except (errors.ExportsVolumeError, ValueError):
        return None
