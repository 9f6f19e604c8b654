"""``GET /events``: every step of every task as it is written, as server-sent events.

An event's id is the step's place in the history and a mark of what the step is, so whoever was cut off goes
on where it was (``Last-Event-ID``), and nothing is missed that the history still has. Where the history was
restored or replaced the places mean other steps: the mark then does not fit, and the listener is told to
look anew (``reset``). A listener that does not read fills no memory here: it is behind, and reads on from
the history.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from querytask import errors
from querytask.adapters.store import ToldTransition
from querytask.web import views
from querytask.web.answers import ClosingStream, written
from querytask.web.callers import LIST, Caller, TheCaller
from querytask.web.feed import Watch
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Refusal, documented
from querytask.web.waiting import first

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/events", tags=["events"])
MEDIA_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 2000
"""How long a browser waits before it connects again."""
MARK_CHARACTERS = 8
EVENT = {
    "type": "object",
    "description": "One event, by the names of its fields.",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]{1,18}(-[0-9a-f]{8})?$"},
        "event": {"type": "string", "enum": ["step", "reset"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/ChangeView"},
                    {"$ref": "#/components/schemas/ResetView"},
                ]
            },
        },
    },
    "required": ["id", "event", "data"],
}
"""What the document says of the stream."""


@router.get(
    "",
    response_class=Response,
    responses=documented()
    | {
        200: {
            "description": "Events until the client leaves: `step` with a `ChangeView`; `reset` with a "
            "`ResetView`, where what was seen before is no longer a place in the history.",
            "content": {MEDIA_TYPE: {"schema": EVENT}},
        }
    },
    summary="Listen to changes",
)
async def get_events(
    caller: TheCaller,
    parts: TheParts,
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=40,
            pattern="^[0-9]{1,18}(-[0-9a-f]{8})?$",
            description="Go on behind this event: its `id`, as it was sent.",
        ),
    ] = None,
    after: Annotated[
        int | None,
        Query(ge=0, lt=2**62, description="The same, for those who cannot set a header; 0 is all there is."),
    ] = None,
) -> Response:
    """The steps of all tasks from now on, or from behind an event. A comment comes now and then while
    nothing happens; the stream ends when the caller's rights end, and when the API is stopped: connect again
    with `Last-Event-ID`. That the files of an export have expired, or that the object of an ended task was
    deleted, is no step.

    `reset` means that the history was restored or replaced, or that the event that was named is no longer in
    it: steps may be missing, and some may come a second time. Ask `GET /tasks` anew, and go on listening.
    """
    await caller.must(LIST)
    watch = await parts.feed.enter()
    try:
        lost = await _went_back(parts, watch, last_event_id, after)
    except BaseException:
        parts.feed.leave()
        raise
    headers = {"X-Accel-Buffering": "no"}
    return ClosingStream(
        _stream(parts, caller, watch, lost), parts.feed.leave, headers=headers, media_type=MEDIA_TYPE
    )


async def _went_back(parts: Parts, watch: Watch, last_event_id: str | None, after: int | None) -> bool:
    """Let ``watch`` go on behind the event that a caller names; true where there is no such event, and it
    goes on from now."""
    if last_event_id is None and after is None:
        return False
    number, _, told = (last_event_id if last_event_id is not None else str(after)).partition("-")
    position = int(number)
    if position > watch.position or (told and not await _is_there(parts, position, told)):
        return True
    watch.position = position
    return False


async def _is_there(parts: Parts, position: int, told: str) -> bool:
    """Whether the step at that place has the mark ``told``."""
    found = await parts.store.transitions_after(parts.settings.namespace, position - 1, 1)
    return bool(found) and found[0].transition.id == position and mark(found[0]) == told


def mark(step: ToldTransition) -> str:
    """What tells a step from another one that has its place in another history."""
    found = step.transition
    text = f"{step.key.uid}/{found.attempt}/{found.phase}/{found.reason}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:MARK_CHARACTERS]


async def _stream(parts: Parts, caller: Caller, watch: Watch, lost: bool) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    loop, heartbeat = asyncio.get_running_loop(), parts.settings.api_heartbeat_seconds
    checked = loop.time()
    while not parts.stopping.is_set():
        if watch.replaced() or lost:
            lost = False
            yield _reset(watch.position)
        try:
            for step in await watch.next():
                yield _event(step)
        except errors.StoreError as error:
            log.warning("A stream of events ends: %s", error)
            return
        if loop.time() - checked >= heartbeat:
            if not await _still_allowed(caller):
                return
            checked = loop.time()
            yield b": still here\n\n"
        await first(watch.news(heartbeat), parts.stopping.wait())


async def _still_allowed(caller: Caller) -> bool:
    """Whether the caller may still listen; where nobody can say so, it may not."""
    try:
        await caller.still_there()
        await caller.must(LIST)
    except (Refusal, errors.ClusterError):
        return False
    return True


def _event(step: ToldTransition) -> bytes:
    view = views.change(step)
    return b"id: %d-%b\nevent: step\ndata: %b\n\n" % (view.id, mark(step).encode(), written(view))


def _reset(position: int) -> bytes:
    return b"id: %d\nevent: reset\ndata: %b\n\n" % (position, written(views.ResetView(id=position)))
