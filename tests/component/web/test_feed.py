"""Whoever waits for changes learns of each, once; and the history is not asked while nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from querytask import errors
from querytask.adapters.store import Store, TaskKey, ToldTransition
from querytask.web.feed import Feed
from querytask.web.problems import Refusal
from tests.component.store.builders import step


class Steps:
    """The questions that a feed asks of a history, and how often it did."""

    def __init__(self) -> None:
        self.steps: list[ToldTransition] = []
        self.given = self.looks = 0
        self.away = False

    def write(self, *uids: str) -> None:
        """Each has another step."""
        for uid in uids:
            self.given += 1
            self.steps.append(ToldTransition(TaskKey("analytics", uid, uid), step(id=self.given)))

    def purge(self, kept: int) -> None:
        """Forget all but the first."""
        del self.steps[kept:]

    def restore(self, kept: int) -> None:
        """Be as it was when these were all."""
        self.purge(kept)
        self.given = kept

    async def last_transition(self) -> int:
        return self.steps[-1].transition.id or 0 if self.steps else 0

    async def highest_given(self) -> int:
        return self.given

    async def transitions_after(self, namespace: str, after: int, limit: int = 100) -> list[ToldTransition]:
        self.looks += 1
        if self.away:
            raise errors.StoreUnavailable("away")
        return [item for item in self.steps if (item.transition.id or 0) > after][:limit]


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
async def feed(steps: Steps) -> AsyncIterator[Feed]:
    made = Feed(lambda: cast(Store, steps), "analytics", seconds=0.001, most=3, kept=5)
    running = asyncio.ensure_future(made.run())
    yield made
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def ids(found: list[ToldTransition]) -> list[Any]:
    return [item.transition.id for item in found]


async def test_a_change_of_the_task_is_told(feed: Feed, steps: Steps):
    """Not one of another, and not one from before."""
    steps.write("a", "b")
    async with feed.watching() as watch:
        waiting = asyncio.ensure_future(watch.changed("a", 5))
        await asyncio.sleep(0.01)
        steps.write("b")
        await asyncio.sleep(0.01)
        assert not waiting.done()
        steps.write("a")
        assert await waiting is True


async def test_a_change_between_the_look_and_the_wait_is_told(feed: Feed, steps: Steps):
    """Whoever watches first and looks then misses nothing."""
    async with feed.watching() as watch:
        steps.write("a")
        assert await watch.changed("a", 5) is True


async def test_patience_ends(feed: Feed):
    """With nothing."""
    async with feed.watching() as watch:
        assert await watch.changed("a", 0.01) is False


async def test_everything_comes_once_and_in_order(feed: Feed, steps: Steps):
    """To each of those who listen, however many steps at a time."""
    async with feed.watching() as one, feed.watching() as other:
        for watch in (one, other):
            seen: list[int] = []
            first = len(steps.steps)
            steps.write(*"abcabcabc")
            while len(seen) < 9:
                assert await watch.news(5)
                seen += [number for number in ids(await watch.next()) if number > first]
            assert seen == list(range(first + 1, first + 10))


async def test_who_is_far_behind_reads_the_history(feed: Feed, steps: Steps):
    """More than is kept in memory, and from long before."""
    steps.write(*["a"] * 20)
    async with feed.watching() as watch:
        watch.position = 2
        steps.write(*["b"] * 3)
        seen: list[int] = []
        while not seen or seen[-1] < 23:
            assert await watch.news(5)
            seen += ids(await watch.next())
        assert seen == list(range(3, 24))


async def test_a_listener_that_was_asleep_misses_nothing(feed: Feed, steps: Steps):
    """Though what it missed is no longer kept."""
    async with feed.watching() as watch, feed.watching() as other:
        for _ in range(4):
            steps.write(*["a"] * 4)
            assert await other.news(5)
            await other.next()
        assert ids(await watch.next()) == list(range(1, 17))


async def test_nobody_is_asked_while_nobody_waits(feed: Feed, steps: Steps):
    """And then again."""
    async with feed.watching() as watch:
        steps.write("a")
        assert await watch.news(5)
    await asyncio.sleep(0.02)
    looks = steps.looks
    await asyncio.sleep(0.02)
    assert steps.looks == looks
    async with feed.watching() as watch:
        steps.write("a")
        assert await watch.changed("a", 5)


async def test_too_many_are_sent_away(feed: Feed):
    """429, and room again when one has gone."""
    async with feed.watching(), feed.watching():
        async with feed.watching():
            with pytest.raises(Refusal) as caught:
                await feed.enter()
            assert (caught.value.status, caught.value.retry_after) == (429, 5)
        async with feed.watching():
            pass


async def test_who_cannot_be_answered_takes_no_place(steps: Steps):
    """A history that is away must not use up the places."""

    def away() -> Store:
        raise errors.StoreUnavailable("away")

    feed = Feed(away, "analytics", seconds=1, most=1)
    for _ in range(3):
        with pytest.raises(errors.StoreUnavailable):
            await feed.enter()


async def test_another_history_begins_anew(feed: Feed, steps: Steps):
    """One that was restored has fewer steps than were seen."""
    steps.write(*["a"] * 9)
    async with feed.watching():
        steps.restore(3)
        async with feed.watching() as watch:
            steps.write("b")
            assert await watch.changed("b", 5)


async def test_who_waits_while_the_history_is_replaced_is_told(feed: Feed, steps: Steps):
    """By the fall of the highest number it gave, without another request; and hears what comes next, though
    its number is lower than what was seen before."""
    steps.write(*["a"] * 9)
    async with feed.watching() as watch:
        assert not watch.replaced()
        steps.restore(3)
        assert await watch.news(5)
        assert watch.replaced()
        assert (watch.position, watch.replaced()) == (3, False)
        steps.write("b")
        assert await watch.news(5)
        assert ids(await watch.next()) == [4]


async def test_a_purge_of_the_newest_steps_is_no_other_history(feed: Feed, steps: Steps):
    """Nobody who waits is told anything, nor whoever comes then told again what was; the next step is told to
    both, once."""
    steps.write(*["a"] * 9)
    async with feed.watching() as watch:
        steps.write("a")
        assert await watch.news(5)
        await watch.next()
        steps.purge(3)
        assert await feed._look()
        async with feed.watching() as late:
            assert not await late.news(0.01)
            assert not await watch.news(0.01)
            steps.write("b")
            for one in (watch, late):
                assert await one.news(5)
                assert (ids(await one.next()), one.replaced()) == ([11], False)
    assert feed.generation == 0


async def test_all_steps_may_be_purged(feed: Feed, steps: Steps):
    """While nobody waits, too: the next one is told."""
    steps.write(*["a"] * 9)
    steps.purge(0)
    async with feed.watching() as watch:
        steps.write("b")
        assert await watch.changed("b", 5) is True
        assert not watch.replaced()


async def test_a_history_that_has_grown_past_what_was_seen_is_another_one_all_the_same():
    """Its number of steps tells nothing, that it was opened anew does."""
    old, new = Steps(), Steps()
    old.write(*["a"] * 3)
    new.write(*["b"] * 7)
    current = [old]
    feed = Feed(lambda: cast(Store, current[0]), "analytics", seconds=0.001, most=3)
    running = asyncio.ensure_future(feed.run())
    async with feed.watching() as watch:
        current[0] = new
        assert await watch.changed("nobody", 5) is True
        assert (watch.position, await watch.changed("b", 0.01)) == (7, False)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class Slow(Steps):
    """A history whose answer is old when it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def last_transition(self) -> int:
        found = len(self.steps)
        self.asked.set()
        await self.may_answer.wait()
        return found


async def test_an_answer_that_was_late_is_no_other_history():
    """Whoever enters while a step is found has asked before it was there."""
    steps = Slow()
    feed = Feed(lambda: cast(Store, steps), "analytics", seconds=0.001, most=3)
    await feed.enter()
    steps.asked.clear()
    steps.may_answer.clear()
    entering = asyncio.ensure_future(feed.enter())
    await steps.asked.wait()
    steps.write("a")
    assert await feed._look()
    steps.may_answer.set()
    await entering
    assert (feed.generation, feed.newest) == (0, 1)
