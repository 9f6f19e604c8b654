"""Who may have a pod: at most ``limit`` tasks hold a slot; the others wait, higher priority first, then first
come first served.

Held in memory only, because it follows from the cluster: at start the tasks with living pods claim theirs,
and nobody new is let in before every task was looked at once (``open``), so that a restart cannot let a lower
priority overtake.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """The place in the line: higher ``priority`` first, then the older, then by uid so that the order is
    total."""

    minus_priority: int
    created_at: float
    uid: str


class Slots:
    """The slots and the line for them; ``on_grant(uid)`` is called when a waiting task gets one."""

    def __init__(self, limit: int, on_grant: Callable[[str], None]) -> None:
        self._limit, self._on_grant = limit, on_grant
        self._held: set[str] = set()
        self._ranks: dict[str, Rank] = {}
        self._line: list[Rank] = []
        self._open = False

    def open(self) -> None:
        """From now on the line moves."""
        self._open = True
        self._grant()

    def holds(self, uid: str) -> bool:
        """Whether the task has a slot."""
        return uid in self._held

    def hold(self, uid: str) -> None:
        """The task has a living pod, so it holds a slot, even one over the limit: nothing that runs is
        stopped for it."""
        self._ranks.pop(uid, None)
        self._held.add(uid)

    def request(self, rank: Rank) -> bool:
        """Ask for a slot, or move in the line when the rank has changed; true when the task has one now."""
        if rank.uid in self._held:
            return True
        if self._ranks.get(rank.uid) != rank:
            self._ranks[rank.uid] = rank
            heapq.heappush(self._line, rank)
        self._grant(silent=rank.uid)
        return rank.uid in self._held

    def release(self, uid: str) -> None:
        """The task neither has a pod nor waits for one."""
        self._ranks.pop(uid, None)
        self._held.discard(uid)
        self._grant()

    @property
    def held(self) -> int:
        """How many slots are taken."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many tasks stand in the line."""
        return len(self._ranks)

    @property
    def limit(self) -> int:
        """How many slots there are."""
        return self._limit

    def _grant(self, silent: str = "") -> None:
        while self._open and self._line and len(self._held) < self._limit:
            rank = heapq.heappop(self._line)
            if self._ranks.get(rank.uid) != rank:
                continue  # left the line, or moved in it
            del self._ranks[rank.uid]
            self._held.add(rank.uid)
            if rank.uid != silent:
                self._on_grant(rank.uid)
