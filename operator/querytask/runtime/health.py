"""What the probes are told: whether our own loops turn, and whether the operator does its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

STUCK_SECONDS = 120.0
"""One call of reconcile that takes this long is stuck: every I/O in it has a shorter time-out."""


@dataclass
class Health:
    """Facts that the loops leave here; ``clock`` gives monotonic seconds."""

    clock: Callable[[], float]
    resync_seconds: float
    longest_work: Callable[[], float]
    history: Callable[[], Awaitable[str]] | None = None
    """What is wrong with the history; empty when nothing is."""
    waiting_for: dict[str, str] = field(default_factory=dict)
    """What the start still waits for, by name; empty once the operator works."""
    resync_failure: str = ""
    resync_tried: float | None = None
    resync_done: float | None = None

    def began(self) -> None:
        """The first resync begins: one that never returns is to be noticed, too."""
        if self.resync_tried is None:
            self.resync_tried = self.clock()

    def tried(self, failure: str) -> None:
        """A resync was tried just now; ``failure`` is empty when it went well."""
        self.resync_tried, self.resync_failure = self.clock(), failure
        if not failure:
            self.resync_done = self.resync_tried

    async def alive(self) -> dict[str, str]:
        """What only a restart mends."""
        return {"resyncTimer": self._timer(), "reconcile": self._work()}

    async def ready(self) -> dict[str, str]:
        """Whether the operator does its work."""
        waiting = {name: what for name, what in self.waiting_for.items() if what}
        if waiting:
            return waiting
        history = await self.history() if self.history else ""
        return await self.alive() | {"apiServer": self._api_server(), "history": history}

    def _timer(self) -> str:
        if self.resync_tried is None or self.clock() - self.resync_tried <= 3 * self.resync_seconds + 60:
            return ""
        return f"no resync was tried for {self.clock() - self.resync_tried:.0f} s"

    def _work(self) -> str:
        longest = self.longest_work()
        return f"one reconcile has taken {longest:.0f} s so far" if longest > STUCK_SECONDS else ""

    def _api_server(self) -> str:
        if self.resync_done is None:
            return self.resync_failure or "no resync has ended yet"
        if self.clock() - self.resync_done > 2 * self.resync_seconds + 5:
            return self.resync_failure or "the last resync is too old"
        return ""
