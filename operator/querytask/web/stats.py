"""``GET /stats``: the figures of a dashboard's top row."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from querytask.adapters.store import HistoryFigures
from querytask.core.clock import seconds_between
from querytask.web import words
from querytask.web.answers import answer
from querytask.web.callers import LIST, TheCaller
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import documented
from querytask.web.views import Moment, View
from querytask.web.words import State, Status

router = APIRouter(prefix="/api/v1/stats", tags=["stats"])


class Slots(View):
    """The places for workers."""

    held: int = Field(description="Tasks that have a pod, or are about to.")
    waiting: int = Field(description="Tasks that wait for a place.")
    limit: int = Field(description="How many places there are.")


class Stats(View):
    """How many tasks there are, and how busy the operator is."""

    by_status: dict[Status, int]
    by_state: dict[State, int]
    total: int
    oldest_waiting_since: Moment | None = Field(
        description="Since when the task is queued that waits longest."
    )
    oldest_waiting_seconds: float | None
    active_workers: int | None = Field(description="The same as `slots.held`.")
    slots: Slots | None = Field(description="`null` while the operator does not say.")


@router.get("", response_model=Stats, responses=documented(), summary="Count tasks")
async def get_stats(caller: TheCaller, parts: TheParts) -> Response:
    """Tasks by status, live and finished; how long the oldest waits; and the operator's slots. Counted at
    most every 2 seconds, for all callers at once."""
    await caller.must(LIST)
    figures, slots = await parts.counted.get(lambda: _counted(parts), parts.monotonic())
    by_status, by_state = dict.fromkeys(Status, 0), dict.fromkeys(State, 0)
    for phase, count in figures.counts.items():
        by_status[words.status_of(phase)] += count
        by_state[words.state_of(phase)] += count
    oldest = figures.oldest_waiting
    return answer(
        Stats(
            by_status=by_status,
            by_state=by_state,
            total=sum(by_status.values()),
            oldest_waiting_since=oldest,
            oldest_waiting_seconds=None if oldest is None else seconds_between(oldest, parts.clock()),
            active_workers=slots["held"] if slots else None,
            slots=Slots(**{name: slots[name] for name in Slots.model_fields}) if slots else None,
        )
    )


async def _counted(parts: Parts) -> tuple[HistoryFigures, Mapping[str, int] | None]:
    return await parts.store.figures(parts.settings.namespace), await parts.operator.slots()
