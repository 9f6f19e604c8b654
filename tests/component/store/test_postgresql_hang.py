"""A server that keeps its connections and does not answer, as one whose machine is suspended or whose disk
hangs: it is away, and nobody waits for it for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from querytask import errors
from querytask.adapters.store import DatabaseLock, Store, open_database
from querytask.adapters.store.postgresql import ANSWER_SECONDS, CONNECT_SECONDS
from querytask.core.listing import PageRequest, TaskFilter
from tests.component.store.builders import task
from tests.kit import postgres

BUSY_SECONDS = 0.2
MOST_SECONDS = 2 * (BUSY_SECONDS + ANSWER_SECONDS + CONNECT_SECONDS)
"""For a question to a session that does not answer and to one more, on a machine with other things to do."""
ALL = TaskFilter(namespace=task("before").namespace)


@pytest.fixture(scope="session")
def dialect() -> str:
    """A file has no sessions."""
    return "postgresql"


def sessions(server: postgres.Server, url: str) -> list[int]:
    """The processes that serve a session in this database now."""
    with server.administrator() as asking:
        rows: list[Any] = asking.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s", [url.rpartition("/")[2]]
        ).fetchall()
    return [row[0] for row in rows]


async def away(doing: Any) -> str:
    """What is said of a server that did not answer ``doing`` in its time."""
    began = time.monotonic()
    with pytest.raises(errors.StoreUnavailable) as caught:
        await doing
    assert time.monotonic() - began < MOST_SECONDS
    assert caught.value.fault == "Away"
    return str(caught.value)


async def soon(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The answer, once the server is tried again: not while it is known not to have answered just now."""
    async with asyncio.timeout(MOST_SECONDS):
        while True:
            try:
                return await ask()
            except errors.StoreUnavailable:
                await asyncio.sleep(0.1)


async def used(url: str) -> Store:
    """A store all of whose sessions have been asked something."""
    store = await open_database(url, busy_seconds=BUSY_SECONDS)
    await store.record(task("before"))
    await asyncio.gather(*(store.get("before") for _ in range(8)), store.search(ALL, PageRequest()))
    return store


async def test_a_session_that_hangs_is_left_for_another(own_url: str, server: postgres.Server) -> None:
    """Whoever reads, lists or writes is answered by a new one."""
    store = await used(own_url)
    with postgres.suspended(sessions(server, own_url)):
        async with asyncio.timeout(MOST_SECONDS):
            found, page, _ = await asyncio.gather(
                store.get("before"), store.search(ALL, PageRequest()), store.record(task("meanwhile"))
            )
    assert found is not None
    assert [item.uid for item in page.items] == ["before"]
    assert await store.get("meanwhile") is not None
    await store.close()


async def test_a_server_that_hangs_is_away() -> None:
    """For whoever reads, lists, writes, and asks for the lock. When it goes on they go on, and nothing that
    was committed is lost."""
    with postgres.Server() as server:
        url = f"{server.url(server.create())}?connect_timeout=2"
        store, lock = await used(url), DatabaseLock(url, "operator-a")
        assert lock.acquire()
        with postgres.suspended(server.processes()):
            *told, held = await asyncio.gather(
                away(store.get("before")),
                away(store.search(ALL, PageRequest())),
                away(store.record(task("meanwhile"))),
                asyncio.to_thread(lock.check),
            )
        assert (held, lock.held) == (False, False)
        assert all(f"@127.0.0.1:{server.port}" in words for words in told)
        assert await soon(lambda: store.get("before")) is not None
        await soon(lambda: store.record(task("after")))
        assert await store.get("after") is not None
        await asyncio.wait_for(lock.wait(), MOST_SECONDS)
        await store.close()
        lock.release()


def test_a_session_that_was_left_without_an_answer_is_closed(own_url: str, server: postgres.Server) -> None:
    """So that the answer to one question is never taken for that to another."""
    from querytask.adapters.store.postgresql_session import Session

    with Session.connect(own_url, autocommit=True) as session:
        session.answer_seconds = 0.2
        with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.2 s"):
            session.execute("SELECT pg_sleep(5)")
        assert session.closed
