"""``POST /tasks``: a query, or a whole QueryTask, becomes an object of the cluster in the caller's name.

Nothing here decides what a task may be: the API server does, and what it says comes back with the names of
the fields as the caller wrote them.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Request
from pydantic import Field
from starlette.responses import Response

from querytask import errors
from querytask.adapters.caller import Access
from querytask.adapters.store import StoredTask
from querytask.web import fields, files, identity, views
from querytask.web.answers import JSON, written
from querytask.web.callers import Caller, TheCaller
from querytask.web.idempotency import Created, IdempotencyKey, create
from querytask.web.noting import note
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Code, Fault, Refusal, documented, of_faults, shown
from querytask.web.submitting_models import ManifestSubmission, QuerySubmission, Submission
from querytask.web.task import Wait, changed, wait_seconds

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])
CREATE = Access("create")
RETRY_SECONDS = 1


class Submitted(views.TaskView):
    """The task, and its first rows where it has succeeded by now."""

    preview: files.Preview | None = Field(description="`null` until the task has succeeded.")


def outcomes() -> dict[int | str, dict[str, Any]]:
    """The answers of a call that makes a task."""
    location = {"Location": {"description": "The task.", "schema": {"type": "string"}}}
    later = {"Retry-After": {"description": "When to look again, in seconds.", "schema": {"type": "integer"}}}
    done = {"model": Submitted, "headers": location}
    return {
        200: done | {"description": "The key stood for this task already, and it has its end."},
        201: done | {"description": "The task was made, and has its end."},
        202: done
        | {
            "description": "The task has not ended yet; or the caller may not `get` it, and sees it as it was"
            " submitted.",
            "headers": location | later,
        },
    }


@router.post(
    "",
    response_model=Submitted,
    status_code=202,
    responses=outcomes() | documented(Code.ALREADY_EXISTS, Code.KEY_REUSED),
    summary="Submit a task",
)
async def submit(
    body: Annotated[Submission, Body()],
    request: Request,
    background: BackgroundTasks,
    caller: TheCaller,
    parts: TheParts,
    wait: Wait = None,
    key: IdempotencyKey = None,
) -> Response:
    """Run a query: `{"sql": …}` and what else a task may have, or a whole QueryTask as `kubectl` takes it.

    `wait` answers with the first rows if the task has its end by then. Without it, and when the time is over,
    the answer is 202 with `Location`. To submit takes the right to `create`; what becomes of the task is for
    those who may `get` it: whoever may not is answered 202 at once, also where a key stands for a task that
    has its end, with the task as it was submitted.
    """
    await caller.must(CREATE)
    raw = body.document(caller.principal.username)
    _served_here(parts, body)
    try:
        return await made(parts, caller, request, background, "create", raw, key, wait)
    except errors.Invalid as error:
        raise refused(error, raw, renamed=isinstance(body, QuerySubmission)) from error


async def made(
    parts: Parts,
    caller: Caller,
    request: Request,
    background: BackgroundTasks,
    verb: str,
    body: dict[str, Any],
    key: str | None,
    wait: str | None,
) -> Response:
    """Create ``body``, wait for its end if that is asked for, and answer."""
    seconds = wait_seconds(parts, wait)
    if not seconds:
        created = await create(parts, caller, verb, body, key)
        seen = created.new or await _seen(caller, created)
    else:
        async with parts.feed.watching() as watch:  # from before it is there, so that no step is missed
            created = await create(parts, caller, verb, body, key)
            if seen := await _seen(caller, created):
                created = await _ended(parts, created, watch, seconds)
    stored = _stored(created)
    if created.new:
        detail = stored.task.retry_of or ""
        background.add_task(note, parts, caller, request, verb, stored.task, detail)
    if not seen:
        return _answer(Created(None, None, created.new), identity.as_submitted(stored))
    return _answer(created, stored)


async def _seen(caller: Caller, created: Created) -> bool:
    """Whether the caller may see what becomes of the task."""
    return await identity.sees(caller, _stored(created).task.name)


async def _ended(parts: Parts, created: Created, watch: Any, seconds: float) -> Created:
    uid, until = _stored(created).task.uid, parts.monotonic() + seconds
    while True:
        try:
            stored = await parts.store.get(uid)
        except errors.StoreError:
            return created  # it was made all the same: whoever asked has to learn its uid
        if stored is not None and stored.finished:
            return Created(None, stored, created.new)
        left = until - parts.monotonic()
        if left <= 0 or not await changed(parts, watch, uid, left):
            return created if stored is None else Created(created.raw, stored, created.new)


def _stored(created: Created) -> StoredTask:
    if created.stored is not None:
        return created.stored
    assert created.raw is not None
    return identity.stored_of(created.raw)


def _answer(created: Created, stored: StoredTask) -> Response:
    status = 202 if not stored.finished else 201 if created.new else 200
    headers = {"Location": f"{router.prefix}/{stored.task.uid}", "Cache-Control": "no-store"}
    if status == 202:
        headers["Retry-After"] = str(RETRY_SECONDS)
    task = written(views.task(stored, None if stored.finished else created.raw))
    # Joined as text: read and written once more, a long number of the preview would lose digits.
    rows = files.preview(stored) if stored.finished and stored.task.result is not None else b"null"
    return Response(task[:-1] + b',"preview":' + rows + b"}", status, headers, JSON)


def _served_here(parts: Parts, body: QuerySubmission | ManifestSubmission) -> None:
    given = body.metadata.namespace if isinstance(body, ManifestSubmission) else None
    if given not in (None, "", parts.settings.namespace):
        detail = f'metadata.namespace must be "{parts.settings.namespace}", which is served here'
        raise Refusal(Code.INVALID, detail, field="metadata.namespace", value=given)


def refused(error: errors.Invalid, sent: dict[str, Any], *, renamed: bool) -> Refusal:
    """The refusal with what was sent in the fields, and their names as the caller has called them."""
    return of_faults(
        str(error),
        [
            Fault(
                field=fields.own_name(field) if renamed else field,
                detail=detail,
                value=shown(fields.value_at(sent, field)),
            )
            for field, detail in error.causes
        ],
    )
