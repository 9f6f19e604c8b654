"""A database as the place of the history: whoever has lost the lock on it writes nothing until it is there
again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest

from querytask import errors
from querytask.adapters.store import Store
from querytask.runtime.place import NOT_OPEN, Database
from tests.component.store import builders
from tests.kit.postgres import PASSWORD, Server, database


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all tests here."""
    with Server() as made:
        yield made


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """A new database."""
    with database(server) as found:
        yield found


@dataclass
class Operator:
    """One that holds the history, or waits for it."""

    place: Database
    told: list[str] = field(default_factory=list)
    store: Store | None = None

    async def start(self) -> Store:
        await self.place.hold()
        self.store = await self.place.open()
        return self.store


@asynccontextmanager
async def operator(url: str, pod: str) -> AsyncIterator[Operator]:
    """An operator that watches its lock."""
    told: list[str] = []
    made = Operator(Database(url, pod, told.append, look_seconds=0.05), told)
    keeping: list[asyncio.Task[None]] = []

    async def run() -> None:
        await made.start()
        await made.place.keep()

    keeping.append(asyncio.create_task(run()))
    try:
        yield made
    finally:
        keeping[0].cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        if made.store:
            await made.store.close()
        await made.place.close()


async def until(look, what: str) -> None:
    """Come back when it is so."""
    try:
        async with asyncio.timeout(15):
            while not look():  # noqa: ASYNC110 - a condition of two operators and a server
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(what) from None


async def test_one_at_a_time(server: Server, name: str):
    """The second says for whom it waits, and has the history when the first has let go."""
    url = server.url(name)
    async with AsyncExitStack() as later:
        async with operator(url, "first") as first:
            await until(lambda: first.store, "the first has it")
            second = await later.enter_async_context(operator(url, "second"))
            await until(lambda: second.told, "the second waits")
            assert "another operator has the history" in second.told[-1]
            assert "first, since 2" in second.told[-1]
            assert PASSWORD not in second.told[-1]
            assert second.store is None
        await until(lambda: second.store, "the second has it")
        assert second.told[-2:] == [NOT_OPEN, ""]


async def test_who_has_lost_the_lock_writes_nothing(server: Server, name: str):
    """Its session was ended and another operator has taken the history: a write of the first is refused, and
    nothing of it comes in, until it has the lock again."""
    url = server.url(name)
    async with operator(url, "first") as first:
        await until(lambda: first.store, "the first has it")
        assert first.store
        await first.store.record(builders.task("before"))
        async with operator(url, "second") as second:
            await until(lambda: second.told, "the second waits")
            await until(lambda: _take(server, name, second), "the second has it")
            await until(lambda: "second" in first.told[-1], "the first waits")
            with pytest.raises(errors.StoreUnavailable, match="lock") as refused:
                await first.store.record(builders.task("by-the-first"))
            assert refused.value.fault == "Away"
            with pytest.raises(errors.StoreUnavailable):
                await first.store.ping()
            assert await first.store.get("before"), "it may read"
            assert second.store
            await second.store.record(builders.task("by-the-second"))
        await until(lambda: first.told[-1] == "", "the first has it again")
        await first.store.record(builders.task("again"))
        tasks = await first.store.open_tasks("analytics")
        assert sorted(task.uid for task in tasks) == ["again", "before", "by-the-second"]


def _take(server: Server, name: str, taker: Operator) -> bool:
    """End the sessions of the holder; who waits may be the first to come."""
    if taker.store is None:
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'querytask-operator/first'"
        )
        with closing(server.administrator()) as session:
            session.execute(ended, (name,))
    return taker.store is not None
