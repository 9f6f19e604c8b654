"""Lists of tasks: ``GET /tasks`` and ``POST /tasks/query``, two ways to ask the one question.

A caller needs the right to list the QueryTasks of the namespace; then every task of it is the caller's to
see, and so no owner has to be given, not even with ``task_ids``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from querytask.core import listing as history
from querytask.web import views
from querytask.web.answers import JSON, pieces, written
from querytask.web.callers import LIST, TheCaller
from querytask.web.item_text import item_text
from querytask.web.listing import MAX_UIDS_IN_ADDRESS, ListBody, ListQuery
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Code, Refusal, documented

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])
ANSWERS = documented(Code.QUERY_TOO_SLOW)
NOTHING: history.Page[bytes] = history.Page((), None, None)
AT_ONCE = 200
"""Pages that may be longer than this are put together beside the loop, so that nobody else waits for them,
and few at a time, for the memory that they take; so many tasks are sent at a time."""


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
    if wanted is None:
        return Response(_written(query, NOTHING, 0 if query.count else None), media_type=JSON)
    if len(wanted.uids or ()) <= AT_ONCE and request.limit <= AT_ONCE:
        return Response(_written(query, *await _found(parts, query, wanted, request)), media_type=JSON)
    async with parts.long_answers:
        found = await _found(parts, query, wanted, request)
        return pieces(await asyncio.to_thread(lambda: list(_pieces(query, *found))))


async def _found(
    parts: Parts, query: ListQuery, wanted: history.TaskFilter, request: history.PageRequest
) -> tuple[history.Page[bytes], int | None]:
    page = await _search(parts, wanted, request)
    return page, await parts.store.count(wanted) if query.count else None


async def _search(
    parts: Parts, wanted: history.TaskFilter, request: history.PageRequest
) -> history.Page[bytes]:
    try:
        # Written where they are read: ten thousand tasks would take many times the memory of their texts, and
        # nobody else waits for the writing.
        return await parts.store.search(wanted, request, item_text)
    except history.QuestionRefused as error:
        raise Refusal(Code.INVALID, str(error), field=error.field, value=error.value) from error


def _written(query: ListQuery, found: history.Page[bytes], count: int | None) -> bytes:
    return b"".join(_pieces(query, found, count))


def _pieces(query: ListQuery, found: history.Page[bytes], count: int | None) -> Iterator[bytes]:
    """The page, some tasks at a time."""
    frame = written(
        views.Page.model_construct(
            items=(),
            next_cursor=None if query.by_uids else found.next,
            previous_cursor=None if query.by_uids else found.previous,
            page=query.page_number(),
            page_size=len(found.items) if query.by_uids else query.size,
            count=count,
        )
    )
    begin = b'{"items":['
    assert frame.startswith(begin + b"]")
    for start in range(0, len(found.items), AT_ONCE):
        yield (b"," if start else begin) + b",".join(found.items[start : start + AT_ONCE])
    yield (b"" if found.items else begin) + frame[len(begin) :]
