"""What the API server said is kept for a while, not longer, and never what it did not say."""

from __future__ import annotations

import asyncio

import pytest

from querytask import errors
from querytask.web.decisions import Decisions, fingerprint


class World:
    """A clock, and an API server that counts its questions."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, 0
        self.answer: object = True

    def __call__(self) -> float:
        return self.now

    async def question(self) -> object:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def world() -> World:
    return World()


async def test_a_word_is_kept_for_its_time(world: World):
    """A yes as well as a no; and asked for again after it."""
    decisions = Decisions(10, world)
    for answer in (True, False):
        world.answer, world.asked, world.now = answer, 0, world.now + 100
        assert await decisions.ask("token", "may", world.question) is answer
        world.now += 9.9
        assert await decisions.ask("token", "may", world.question) is answer
        assert world.asked == 1
        world.answer = not answer
        world.now += 0.2
        assert await decisions.ask("token", "may", world.question) is not answer


async def test_its_time_counts_from_the_question(world: World):
    """Not from the answer, which may have taken long."""

    async def slow() -> bool:
        world.now += 8
        return True

    decisions = Decisions(10, world)
    await decisions.ask("token", "may", slow)
    world.now += 3
    await decisions.ask("token", "may", world.question)
    assert world.asked == 1


async def test_each_token_and_each_question_has_its_own(world: World):
    """What one may do says nothing of another, nor of another right."""
    decisions = Decisions(10, world)
    for token in ("a", "b"):
        for about in ("get", "list"):
            await decisions.ask(token, about, world.question)
    assert world.asked == 4


async def test_an_error_is_not_kept(world: World):
    """Where nobody answers, nobody is let in; the next one asks again."""
    decisions = Decisions(10, world)
    world.answer = errors.Unavailable("away")
    for _ in range(2):
        with pytest.raises(errors.Unavailable):
            await decisions.ask("token", "may", world.question)
    assert (world.asked, len(decisions)) == (2, 0)


async def test_a_token_that_is_not_valid_is(world: World):
    """Whoever tries it again and again does not reach the API server."""
    decisions = Decisions(10, world)
    world.answer = errors.Unauthenticated("no", 401)
    for _ in range(3):
        with pytest.raises(errors.Unauthenticated):
            await decisions.ask("token", "who", world.question)
    assert world.asked == 1


async def test_those_who_ask_at_one_time_share_one_question(world: World):
    """And one of them who gives up takes nothing from the others."""
    decisions = Decisions(10, world)
    tasks = [asyncio.ensure_future(decisions.ask("token", "may", world.question)) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [True] * 4
    assert world.asked == 1


async def test_there_is_a_bound(world: World):
    """What was asked for longest ago goes."""
    decisions = Decisions(10, world, most=3)
    for token in "abca":
        await decisions.ask(token, "may", world.question)
    await decisions.ask("d", "may", world.question)
    assert len(decisions) == 3
    await decisions.ask("a", "may", world.question)
    assert world.asked == 4
    await decisions.ask("b", "may", world.question)
    assert world.asked == 5


def test_no_token_is_kept():
    """Only what does not lead back to it."""
    assert "secret" not in fingerprint("secret")
    assert fingerprint("secret") == fingerprint("secret") != fingerprint("Secret")


async def test_a_word_that_is_used_is_asked_for_anew_before_its_time_is_over(world: World):
    """Beside the answer: whoever calls steadily waits for a word only once, and hears of a change early."""
    decisions = Decisions(10, world)
    await decisions.ask("token", "may", world.question)
    world.now, world.answer = 6.0, False
    assert await decisions.ask("token", "may", world.question) is True
    await asyncio.sleep(0.01)
    assert world.asked == 2
    assert await decisions.ask("token", "may", world.question) is False
    world.now = 10.9
    assert await decisions.ask("token", "may", world.question) is False
    assert world.asked == 2


async def test_silence_when_asked_anew_shortens_nothing_and_lengthens_nothing(world: World):
    """The word that is there is kept for its own time, and not longer."""
    decisions = Decisions(10, world)
    await decisions.ask("token", "may", world.question)
    world.now, world.answer = 9.0, errors.Unavailable("silent")
    assert await decisions.ask("token", "may", world.question) is True
    await asyncio.sleep(0.01)
    world.now = 10.1
    with pytest.raises(errors.Unavailable):
        await decisions.ask("token", "may", world.question)


async def test_strangers_take_their_turn_and_nobody_elses(world: World):
    """Sixteen at one time; the next one is told when to come back, and whoever is known does not wait."""
    decisions, may_end = Decisions(10, world, unknown_seconds=0.05), asyncio.Event()
    assert await decisions.ask_of_stranger("known", "who", world.question) is True

    async def slow() -> bool:
        world.asked += 1
        await may_end.wait()
        raise errors.Unauthenticated("no", 401)

    strangers = [
        asyncio.ensure_future(decisions.ask_of_stranger(f"t{number}", "who", slow)) for number in range(40)
    ]
    found = asyncio.gather(*strangers, return_exceptions=True)
    async with asyncio.timeout(5):
        while sum(task.done() for task in strangers) < 24:
            await asyncio.wait([task for task in strangers if not task.done()], return_when="FIRST_COMPLETED")
    assert world.asked == 1 + 16
    world.now = 11
    assert await decisions.ask_of_stranger("known", "who", world.question) is True
    may_end.set()
    refused = [error for error in await found if isinstance(error, errors.TooManyRequests)]
    assert (len(refused), {error.retry_after for error in refused}) == (24, {1})
    assert await decisions.ask_of_stranger("new", "who", world.question) is True


async def test_refusals_push_no_word_out(world: World):
    """However many tokens somebody invents."""
    decisions = Decisions(10, world, most=3)
    await decisions.ask("good", "who", world.question)
    world.answer = errors.Unauthenticated("no", 401)
    for number in range(10):
        with pytest.raises(errors.Unauthenticated):
            await decisions.ask(f"t{number}", "who", world.question)
    assert await decisions.ask("good", "who", world.question) is True
    assert world.asked == 11


async def test_a_word_that_became_a_refusal_is_one(world: World):
    """And the other way round."""
    decisions = Decisions(10, world)
    await decisions.ask("token", "who", world.question)
    world.now, world.answer = 6.0, errors.Unauthenticated("no", 401)
    await decisions.ask("token", "who", world.question)
    await asyncio.sleep(0.01)
    with pytest.raises(errors.Unauthenticated):
        await decisions.ask("token", "who", world.question)
    world.now, world.answer = 16.1, True
    assert await decisions.ask("token", "who", world.question) is True
