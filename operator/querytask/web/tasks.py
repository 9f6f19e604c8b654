"""Lists of tasks: ``GET /tasks`` and ``POST /tasks/query``, two ways to ask the one question.

A caller needs the right to list the QueryTasks of the namespace; then every task of it is the caller's to
see, and so no owner has to be given, not even with ``task_ids``.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from querytask.adapters.store import TaskSummary
from querytask.core import listing as history
from querytask.web import views
from querytask.web.answers import JSON, written
from querytask.web.callers import LIST, TheCaller
from querytask.web.listing import MAX_UIDS_IN_ADDRESS, ListBody, ListQuery
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Code, Refusal, documented

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])
ANSWERS = documented(Code.QUERY_TOO_SLOW)
NOTHING: history.Page[TaskSummary] = history.Page((), None, None)
AT_ONCE = 200
"""Pages longer than this are written beside the loop, so that nobody else waits for them."""


@router.get("", response_model=views.Page, responses=ANSWERS, summary="List tasks")
async def list_tasks(query: Annotated[ListQuery, Query()], caller: TheCaller, parts: TheParts) -> Response:
    """The tasks of the namespace, live and finished, as a page; newest first unless said otherwise.

    Go on with `next_cursor`: a task that matches throughout comes exactly once, whatever is written
    meanwhile. `task_ids` takes up to 200 uids here.
    """
    await caller.must(LIST)
    return await _answer(parts, query, MAX_UIDS_IN_ADDRESS)


@router.post("/query", response_model=views.Page, responses=ANSWERS, summary="List tasks, asked for as JSON")
async def query_tasks(query: ListBody, caller: TheCaller, parts: TheParts) -> Response:
    """The same as `GET /tasks`, for filters that do not fit into an address: `task_ids` takes up to 10,000
    uids."""
    await caller.must(LIST)
    return await _answer(parts, query, history.MAX_UIDS)


async def _answer(parts: Parts, query: ListQuery, most_uids: int) -> Response:
    wanted, request = query.filter(parts.settings.namespace, most_uids), query.request()
    found, count = NOTHING, 0
    if wanted is not None:
        found = await _search(parts, wanted, request)
        count = await parts.store.count(wanted) if query.count else 0
    total = count if query.count else None
    if len(found.items) > AT_ONCE:
        body = await asyncio.to_thread(_written, query, found, total)
    else:
        body = _written(query, found, total)
    return Response(body, media_type=JSON)


async def _search(
    parts: Parts, wanted: history.TaskFilter, request: history.PageRequest
) -> history.Page[TaskSummary]:
    try:
        return await parts.store.search(wanted, request)
    except ValueError as error:
        # Of two texts only the history knows what is wrong, and says it first.
        field, value = ("text", wanted.text) if str(error).startswith("text") else ("cursor", request.cursor)
        raise Refusal(Code.INVALID, str(error), field=field, value=value) from error


def _written(query: ListQuery, found: history.Page[TaskSummary], count: int | None) -> bytes:
    items = tuple(views.item(item) for item in found.items)
    return written(
        views.Page.model_construct(
            items=items,
            next_cursor=None if query.task_ids else found.next,
            previous_cursor=None if query.task_ids else found.previous,
            page=query.page_number(),
            page_size=len(items) if query.task_ids else query.size,
            count=count,
        )
    )
