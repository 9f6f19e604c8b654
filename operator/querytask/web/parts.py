"""What the routes are made from: every dependency, built once by the composition root and given to each
request.

A route asks for ``TheParts``; there is no other way to the history, to the exports volume or to a clock.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from querytask.adapters.exports import ExportsVolume
from querytask.adapters.operator_metrics import OperatorMetrics
from querytask.adapters.store import HistoryFigures, Store
from querytask.web.callers import Acting
from querytask.web.decisions import Decisions
from querytask.web.feed import Feed
from querytask.web.history import History
from querytask.web.kept import Kept
from querytask.web.settings import ApiSettings

COUNTED_SECONDS = 2.0
"""How long a count of all tasks is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that a route may use."""

    settings: ApiSettings
    history: History
    volume: ExportsVolume
    acting: Acting
    """Makes the calls in the name of a token."""
    decisions: Decisions
    feed: Feed
    """Changes of tasks, for whoever waits."""
    operator: OperatorMetrics
    """What the operator tells of itself."""
    clock: Callable[[], dt.datetime]
    """The time: aware, UTC."""
    monotonic: Callable[[], float]
    """A clock in seconds that never goes back."""
    long_answers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Lists of thousands of tasks that are made at a time."""
    counted: Kept[tuple[HistoryFigures, Mapping[str, int] | None]] = field(
        default_factory=lambda: Kept(COUNTED_SECONDS)
    )
    """What ``/stats`` has counted last: one count for all who ask at one time."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the API is being stopped: whoever waits for something gives up waiting."""

    @property
    def store(self) -> Store:
        """The history; raises ``errors.StoreUnavailable`` while it is not open."""
        return self.history.store


async def parts_of(request: Request) -> Parts:
    """The parts that the application was built with."""
    return cast(Parts, request.app.state.parts)


TheParts = Annotated[Parts, Depends(parts_of)]
"""For the parameters of routes."""
