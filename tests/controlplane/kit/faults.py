"""What the proxy can do to a call, or to a stream of events, and the rule that says to which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.controlplane.kit.calls import Call

Fits = Callable[[Call], bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """Refuse, without asking the API server."""

    status: int
    reason: str = ""
    retry_after: int | None = None
    message: str = "the proxy refuses"


@dataclass(frozen=True, slots=True)
class Lose:
    """Break the connection without an answer: before the API server has heard of it, or when it has done as
    asked. ``seconds`` is how long the caller waits for it."""

    after: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Stale:
    """Answer a list with what it was when it was asked for the first time."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Do something to a watch: ``drop``, ``double``, ``delay`` or ``swap`` its events, ``close`` it after one
    of them, let it say ``gone`` (410), or leave it open in ``silence``."""

    how: str
    seconds: float = 0.0


Act = Answer | Lose | Stale | Stream


@dataclass
class Rule:
    """For the calls that ``fits`` picks: ``act``, after ``skip`` of them and then ``times`` of them."""

    fits: Fits
    act: Act
    times: int = 1
    skip: int = 0
    used: int = 0
    off: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, call: Call) -> bool:
        """Whether this call is one of those; counts it."""
        if self.used >= self.times or not self.fits(call):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.used += 1
        return True


def on(verb: str, resource: str, part: str = "", phase: str = "") -> Fits:
    """Calls of one verb on one kind of object; with ``phase``, those that bring that phase."""

    def fits(call: Call) -> bool:
        same = (call.verb, call.resource, call.part) == (verb, resource, part)
        return same and phase in ("", call.phase)

    return fits
