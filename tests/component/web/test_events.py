"""What a listener sees when the history is replaced, and where it goes on after it was cut off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from querytask.adapters.store import Store, TaskKey, ToldTransition
from querytask.web import events
from querytask.web.callers import Caller
from querytask.web.feed import Feed
from querytask.web.parts import Parts
from tests.component.store.builders import step


class Steps:
    """A history of these steps, numbered from 1."""

    def __init__(self, *uids: str) -> None:
        self.uids = list(uids)

    async def last_transition(self) -> int:
        return len(self.uids)

    highest_given = last_transition

    async def transitions_after(self, namespace: str, after: int, limit: int = 100) -> list[ToldTransition]:
        told = [
            ToldTransition(TaskKey("analytics", uid, uid), step(id=number))
            for number, uid in enumerate(self.uids, 1)
        ]
        return told[max(0, after) :][:limit]


class May:
    """A caller who may do everything."""

    async def must(self, access: object) -> None:
        return None

    async def still_there(self) -> None:
        return None


class Api:
    """The one route, on a history that can be exchanged."""

    def __init__(self, store: Steps) -> None:
        self.store = store
        self.feed = Feed(lambda: cast(Store, self.store), "analytics", seconds=0.001, most=3)
        settings = SimpleNamespace(namespace="analytics", api_heartbeat_seconds=30)
        self.parts = SimpleNamespace(store=store, settings=settings, feed=self.feed, stopping=asyncio.Event())

    def replace(self, store: Steps) -> None:
        self.store = self.parts.store = store

    async def listen(
        self, last: str | None = None, after: int | None = None
    ) -> AsyncIterator[dict[str, str]]:
        """The events, each with its fields."""
        answer = await events.get_events(
            cast(Caller, May()), cast(Parts, self.parts), last_event_id=last, after=after
        )
        async for text in cast(Any, answer).body_iterator:
            found = dict(line.split(": ", 1) for line in text.decode().strip().splitlines())
            if "event" in found:
                yield found


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api(Steps("a", "b", "c"))
    running = asyncio.ensure_future(made.feed.run())
    yield made
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def told(stream: AsyncIterator[dict[str, str]], number: int) -> list[tuple[str, Any]]:
    """Type and place of the next events."""
    async with asyncio.timeout(5):
        found = [await anext(stream) for _ in range(number)]
    for item in found:
        assert item["id"].partition("-")[0] == str(json.loads(item["data"])["id"])
    return [(item["event"], json.loads(item["data"])["id"]) for item in found]


async def test_an_open_stream_goes_on_in_the_history_that_was_restored(api: Api):
    """It is told so, and hears the steps that have numbers which it has seen before."""
    stream = api.listen(after=0)
    assert await told(stream, 3) == [("step", 1), ("step", 2), ("step", 3)]
    restored = Steps("a")
    api.replace(restored)
    assert await told(stream, 1) == [("reset", 1)]
    restored.uids.append("d")
    assert await told(stream, 1) == [("step", 2)]


async def test_who_was_cut_off_goes_on_behind_what_it_saw(api: Api):
    """By the id as it was sent, or by its number alone."""
    stream = api.listen(after=0)
    async with asyncio.timeout(5):
        sent = (await anext(stream))["id"]
    for last in (sent, "1"):
        assert await told(api.listen(last), 2) == [("step", 2), ("step", 3)]


@pytest.mark.parametrize("beyond", [["a"], ["x", "y", "z", "a"]], ids=["shorter", "longer"])
async def test_who_comes_back_to_another_history_is_told(api: Api, beyond: list[str]):
    """Whether its number is there by now or not."""
    async with asyncio.timeout(5):
        sent = [item["id"] async for item in _first(api.listen(after=0), 3)][-1]
    api.replace(Steps(*beyond))
    stream = api.listen(sent)
    assert await told(stream, 1) == [("reset", len(beyond))]
    api.store.uids.append("d")
    assert await told(stream, 1) == [("step", len(beyond) + 1)]


async def _first(stream: AsyncIterator[dict[str, str]], number: int) -> AsyncIterator[dict[str, str]]:
    for _ in range(number):
        yield await anext(stream)
