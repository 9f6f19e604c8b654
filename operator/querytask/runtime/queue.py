"""The work queue: every trigger puts a key in, workers take keys out, and no key is ever worked on twice at
once.

For the reconciler, as in every controller of this field: a key that is added while it waits is in the queue
once; one that is added while it is being worked on comes back when that work is done; a key may be added for
later, and an earlier time replaces a later one; a key that failed comes back with a growing delay.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


SPARE_TIMERS = 64
"""How many timers that count no more may lie in the heap before it is cleared of them: a key that waits for a
day is looked at thousands of times in between, and each look leaves one."""


class WorkQueue(Generic[K]):
    """A de-duplicating queue of keys for one event loop; ``clock`` gives monotonic seconds."""

    def __init__(
        self, clock: Callable[[], float], *, base_delay: float = 0.2, max_delay: float = 30.0
    ) -> None:
        self._clock = clock
        self._base_delay, self._max_delay = base_delay, max_delay
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._working: dict[K, float] = {}
        self._again: set[K] = set()
        self._due: dict[K, tuple[float, int]] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._failures: dict[K, int] = {}
        self._added: dict[K, float] = {}
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def add(self, key: K) -> None:
        """Let ``key`` be worked on as soon as possible; forgets a later time asked for before."""
        self._due.pop(key, None)
        if key in self._waiting:
            return
        if key in self._working:
            self._again.add(key)
            return
        self._waiting.add(key)
        self._ready.append(key)
        self._added[key] = self._clock()
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Let ``key`` be worked on in ``seconds``, unless it was already to come earlier."""
        due, known = self._clock() + seconds, self._due.get(key)
        if key in self._waiting or (known is not None and known[0] <= due):
            return
        order = next(self._order)
        self._due[key] = (due, order)
        heapq.heappush(self._timers, (due, order, key))
        if len(self._timers) > 2 * len(self._due) + SPARE_TIMERS:
            self._timers = [timer for timer in self._timers if self._due.get(timer[2]) == timer[:2]]
            heapq.heapify(self._timers)
        self._wake.set()

    def add_failed(self, key: K) -> float:
        """Let a ``key`` whose work failed come back after a delay that doubles with each failure; returns the
        delay in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(self._max_delay, self._base_delay * 2 ** min(failures - 1, 16))
        self.add_after(key, delay)
        return float(delay)

    def forget(self, key: K) -> None:
        """The work on ``key`` went well: its next failure starts with the shortest delay."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, for one worker alone until ``done``; waits while there is none."""
        while True:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._added.pop(key, None)
                self._working[key] = self._clock()
                if self._ready:
                    self._wake.set()  # another worker may sleep
                return key
            await self._sleep()

    def done(self, key: K) -> None:
        """The worker has finished with ``key``; if it was added meanwhile, it is ready again."""
        self._working.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def __len__(self) -> int:
        """How many keys are ready and wait for a worker."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing is ready and nothing is being worked on."""
        return not self._ready and not self._working

    @property
    def timers(self) -> int:
        """How many timers are kept, those included that count no more."""
        return len(self._timers)

    def oldest_seconds(self) -> float:
        """How long the first ready key has waited for a worker, in seconds; 0 when none waits."""
        return self._clock() - self._added[self._ready[0]] if self._ready else 0.0

    def longest_work_seconds(self) -> float:
        """How long the oldest work under way has taken so far, in seconds; 0 when none is."""
        return self._clock() - min(self._working.values()) if self._working else 0.0

    def _promote(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due, order, key = heapq.heappop(self._timers)
            if self._due.get(key) == (due, order):
                self.add(key)

    async def _sleep(self) -> None:
        self._wake.clear()
        pause = self._timers[0][0] - self._clock() if self._timers else None
        try:
            async with asyncio.timeout(None if pause is None else max(pause, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass
