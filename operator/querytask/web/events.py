"""``GET /events``: every step of every task as it is written, as server-sent events.

An event's id is the step's place in the history, so whoever was cut off goes on where it was
(``Last-Event-ID``), and nothing is missed that the history still has. A listener that does not read fills no
memory here: it is behind, and reads on from the history.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from querytask import errors
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


@router.get(
    "",
    response_class=Response,
    responses=documented()
    | {
        200: {
            "description": "Events of the type `step` with a `ChangeView`, until the client leaves.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        }
    },
    summary="Listen to changes",
)
async def get_events(
    caller: TheCaller,
    parts: TheParts,
    last_event_id: Annotated[
        str | None,
        Header(max_length=20, pattern="^[0-9]{1,18}$", description="Go on behind this event."),
    ] = None,
    after: Annotated[
        int | None,
        Query(ge=0, lt=2**62, description="The same, for those who cannot set a header; 0 is all there is."),
    ] = None,
) -> Response:
    """The steps of all tasks from now on. A comment comes now and then while nothing happens; the stream
    ends when the caller's rights end, and when the API is stopped: connect again with `Last-Event-ID`."""
    await caller.must(LIST)
    watch = await parts.feed.enter()
    position = int(last_event_id) if last_event_id is not None else after
    if position is not None:
        watch.position = min(position, watch.position)
    headers = {"X-Accel-Buffering": "no"}
    return ClosingStream(
        _stream(parts, caller, watch), parts.feed.leave, headers=headers, media_type=MEDIA_TYPE
    )


async def _stream(parts: Parts, caller: Caller, watch: Watch) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    loop, heartbeat = asyncio.get_running_loop(), parts.settings.api_heartbeat_seconds
    checked = loop.time()
    while not parts.stopping.is_set():
        try:
            for step in await watch.next():
                yield _event(views.change(step))
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


def _event(view: views.ChangeView) -> bytes:
    return b"id: %d\nevent: step\ndata: %b\n\n" % (view.id, written(view))
