"""Changes of tasks as they are written, for whoever waits: ``?wait=`` and the stream of events.

One look at the history for all who wait, some times a second, and none while nobody does; the API server is
not asked at all. The newest steps are kept in memory, so that a crowd of listeners reads the history once.

A history that was restored, or replaced by another one, numbers its steps anew from an earlier place: who
has seen 500 would wait for ever where the next one is 301. So the feed has a ``generation``, which grows when
another history is found, and everybody who waits learns of it: it was opened anew, or the highest number that
it has ever given has fallen, as where a database was restored under those who were connected. That the newest
step itself is gone is no sign: it was purged, and the next one has a higher number still.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable

from querytask import errors
from querytask.adapters.store import Store, ToldTransition
from querytask.web.problems import Code, Refusal

log = logging.getLogger(__name__)

KEPT = 2000
"""How many steps are kept in memory."""
AT_ONCE = 500
FAULT_SECONDS = 1.0
"""Until the next look at a history that could not be read."""


class Feed:
    """The changes of one namespace. ``store`` gives the history, or raises ``StoreUnavailable``; ``seconds``
    lie between two looks; at most ``most`` may wait at one time."""

    def __init__(
        self, store: Callable[[], Store], namespace: str, *, seconds: float, most: int, kept: int = KEPT
    ) -> None:
        self._store, self._namespace, self._seconds, self._most = store, namespace, seconds, most
        self._steps: deque[ToldTransition] = deque(maxlen=kept)
        self._floor = self._newest = self._given = 0
        self._of: Store | None = None
        self._waiting = 0
        self.generation = 0
        """Grows when another history is in the place of the one that was known."""
        self._wanted, self._news = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Look for changes while somebody waits, until cancelled."""
        while True:
            if not self._waiting:
                self._wanted.clear()
                await self._wanted.wait()
            await asyncio.sleep(self._seconds if await self._look() else FAULT_SECONDS)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Watch]:
        """Wait for changes from now on; raises a 429 where too many wait already."""
        watch = await self.enter()
        try:
            yield watch
        finally:
            self.leave()

    async def enter(self) -> Watch:
        """The same for whoever cannot wait in a block, and then has to ``leave``."""
        if self._waiting >= self._most:
            detail = f"at most {self._most} requests wait for changes at one time"
            raise Refusal(Code.TOO_MANY_REQUESTS, detail, retry_after=5)
        first, self._waiting = not self._waiting, self._waiting + 1
        try:
            store, known = self._store(), self._given
            newest, given = await store.last_transition(), await store.highest_given()
        except BaseException:
            self.leave()
            raise
        if first:
            # Nobody has looked for a while, and nobody waits who could miss what was written meanwhile.
            self._begin(store, newest, given)
        elif self._is_other(store, known, given):
            self._replaced(store, newest, given)
        self._given = max(self._given, given)
        self._wanted.set()
        return Watch(self, max(newest, self._newest))

    def leave(self) -> None:
        """Wait no more."""
        self._waiting -= 1

    async def after(self, position: int) -> list[ToldTransition]:
        """The steps behind ``position``, some of them where there are many."""
        if position >= self._floor:
            return [step for step in self._steps if (step.transition.id or 0) > position]
        return await self._store().transitions_after(self._namespace, position, AT_ONCE)

    async def news(self, watch: Watch, seconds: float) -> bool:
        """Wait until there is something that ``watch`` does not know, for so many seconds; whether there
        is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                while not self._has_news(watch):
                    await self._news.wait()
        return self._has_news(watch)

    @property
    def newest(self) -> int:
        """The place of the newest step that was seen."""
        return self._newest

    def _has_news(self, watch: Watch) -> bool:
        return watch.generation != self.generation or self._newest > watch.position

    async def _look(self) -> bool:
        try:
            store, known = self._store(), self._given
            found = await store.transitions_after(self._namespace, self._newest, AT_ONCE)
            given = max(known, found[-1].transition.id or 0) if found else await store.highest_given()
            other = self._is_other(store, known, given)
            newest = 0
            if other:
                newest, given = await store.last_transition(), await store.highest_given()
        except errors.StoreError as error:
            log.warning("Changes cannot be read: %s", error)
            return False
        if other:
            self._replaced(store, newest, given)
            return True
        self._given = max(self._given, given)
        # A look that began before the position was set anew may bring what stands before it.
        if fresh := [step for step in found if (step.transition.id or 0) > self._newest]:
            self._keep(fresh)
        return True

    def _is_other(self, store: Store, known: int, given: int) -> bool:
        """Whether ``store``, whose highest number is ``given``, is not the history of which ``known`` was
        seen before it was asked."""
        return store is not self._of or given < known

    def _begin(self, store: Store, newest: int, given: int) -> None:
        self._steps.clear()
        self._of, self._floor, self._newest, self._given = store, newest, newest, given

    def _replaced(self, store: Store, newest: int, given: int) -> None:
        log.warning(
            "Another history is in place: its newest step is %d, where %d was known", newest, self._newest
        )
        self._begin(store, newest, given)
        self.generation += 1
        self._tell()

    def _keep(self, found: list[ToldTransition]) -> None:
        for step in found:
            if len(self._steps) == self._steps.maxlen:
                self._floor = self._steps[0].transition.id or 0
            self._steps.append(step)
        self._newest = found[-1].transition.id or 0
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Watch:
    """What one request waits for; ``position`` is the newest step that it knows of, ``generation`` the
    history that this is a place in."""

    def __init__(self, feed: Feed, position: int) -> None:
        self._feed, self.position, self.generation = feed, position, feed.generation

    async def changed(self, uid: str, seconds: float) -> bool:
        """Wait until that task has another step, or another history is in place, for so many seconds;
        whether so."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while await self.news(deadline - loop.time()):
            if self.replaced():
                return True
            found = await self.next()
            if any(step.key.uid == uid for step in found):
                return True
        return False

    def replaced(self) -> bool:
        """Whether another history is in place since this was asked last; the position is then its newest
        step, as it was when that was found."""
        if self.generation == self._feed.generation:
            return False
        self.generation, self.position = self._feed.generation, self._feed.newest
        return True

    async def next(self) -> list[ToldTransition]:
        """The steps behind the position, which goes on behind them."""
        found = await self._feed.after(self.position)
        if found:
            self.position = found[-1].transition.id or self.position
        return found

    async def news(self, seconds: float) -> bool:
        """Wait for any step behind the position, or another history, for so many seconds; whether there
        is one."""
        return await self._feed.news(self, seconds)
