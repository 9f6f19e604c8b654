"""The log of a task's worker: of one that runs as the cluster has it, else the end that it has kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from querytask import errors
from querytask.adapters.caller import LogEnd
from querytask.adapters.store import AttemptRecord, StoredTask
from querytask.web import identity
from querytask.web.callers import POD_LOG, Caller, TheCaller
from querytask.web.identity import TaskId
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Code, Refusal, documented

router = APIRouter(prefix="/api/v1/tasks", tags=["results"])
LOG_LINES = 1000
LOG_BYTES = 1024 * 1024
"""The most that is answered: the newest part."""


@router.get(
    "/{id}/logs",
    response_class=Response,
    responses=documented(Code.TASK_NOT_FOUND, Code.NOTHING_THERE, Code.EXPORTS_UNAVAILABLE)
    | {
        200: {
            "description": "The log. `X-Log-Source` is `live` or `kept`; `X-Log-Truncated` is `true` where"
            " the lines of a live log that were asked for are over 1 MiB: then the newest of them are here.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
    summary="The worker's log",
)
async def get_logs(
    uid: TaskId,
    caller: TheCaller,
    parts: TheParts,
    attempt: Annotated[int | None, Query(ge=1, le=9999, description="Which one; the last.")] = None,
    tail: Annotated[int, Query(ge=1, le=10_000, description="How many lines, the last ones.")] = LOG_LINES,
) -> Response:
    """Of a worker that runs, as the cluster has it; else the end that the worker has kept. Both need the
    right to read the logs of pods (`get pods/log`)."""
    stored = (await identity.find(parts, caller, uid)).stored
    await caller.must(POD_LOG)
    which = stored.attempt(attempt if attempt is not None else stored.task.attempt)
    if which is None:
        raise Refusal(Code.NOTHING_THERE, f"the task has no attempt {attempt or stored.task.attempt}")
    found, source = await _log(parts, caller, stored, which, tail)
    headers = {"X-Log-Source": source, "X-Log-Truncated": "true" if found.truncated else "false"}
    text = _last(found.text, tail).encode("utf-8", "replace")
    return Response(text, 200, headers, "text/plain; charset=utf-8")


def _last(text: str, number: int) -> str:
    """The last lines, as whoever counts them by their line feeds does."""
    lines = text.split("\n")
    return "\n".join(lines[-(number + (not lines[-1])) :])


async def _log(
    parts: Parts, caller: Caller, stored: StoredTask, attempt: AttemptRecord, tail: int
) -> tuple[LogEnd, str]:
    """The text, and where it is from: what is more recent first. A node that does not answer is no reason to
    withhold what the worker has kept."""
    ways: list[tuple[str, Callable[[], Awaitable[LogEnd | None]]]] = [
        ("live", lambda: _live_log(caller, attempt, tail)),
        ("kept", lambda: _kept_log(parts, stored, attempt)),
    ]
    silence: errors.ClusterError | None = None
    for source, read in ways if attempt.finished_at is None else reversed(ways):
        try:
            found = await read()
        except errors.Unavailable as error:
            silence = error
            continue
        if found is not None:
            return found, source
    raise silence or Refusal(Code.NOTHING_THERE, f"the attempt {attempt.attempt} has left no log")


async def _kept_log(parts: Parts, stored: StoredTask, attempt: AttemptRecord) -> LogEnd | None:
    text = await parts.volume.read_log(stored.task.namespace, stored.task.uid, attempt.attempt)
    return None if text is None else LogEnd(text, truncated=False)


async def _live_log(caller: Caller, attempt: AttemptRecord, tail: int) -> LogEnd | None:
    if not attempt.pod_name:
        return None
    try:
        return await caller.cluster.pod_log(attempt.pod_name, tail_lines=tail, most_bytes=LOG_BYTES)
    except (errors.NotFound, errors.Invalid):  # gone, or its container has not started
        return None
