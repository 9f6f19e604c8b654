"""One operator has the history on PostgreSQL, for as long as its session lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from querytask import errors
from querytask.adapters.store import DatabaseLock
from tests.kit import postgres


@pytest.fixture
def locks(url: str) -> Iterator[tuple[DatabaseLock, DatabaseLock]]:
    """Of two operators."""
    both = DatabaseLock(url, "operator-a"), DatabaseLock(url, "operator-b")
    yield both
    for lock in both:
        lock.release()


Locks = tuple[DatabaseLock, DatabaseLock]


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_one_has_it(locks: Locks) -> None:
    """The second can say who; taking it twice, and letting go twice, is no matter."""
    first, second = locks
    assert first.acquire()
    assert first.acquire()
    assert first.held
    assert not second.acquire()
    assert not second.held
    assert second.holder().startswith("operator-a, since 20")
    first.release()
    first.release()
    assert not first.held
    assert second.acquire()
    assert first.holder().startswith("operator-b, since 20")


async def test_whoever_waits_gets_it(locks: Locks) -> None:
    """When the first lets go."""
    first, second = locks
    assert first.acquire()
    waiting = asyncio.create_task(second.wait(poll_seconds=0.01))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    first.release()
    await asyncio.wait_for(waiting, 10)
    assert second.held


async def test_a_lost_session_is_noticed(locks: Locks, url: str, server: postgres.Server) -> None:
    """Its operator learns of it; another one may have it then, and so may the same one again."""
    first, second = locks
    assert first.acquire()
    losing = asyncio.create_task(first.lost(poll_seconds=0.01))
    await asyncio.sleep(0.05)
    assert not losing.done()
    server.end_sessions(name_of(url))
    await asyncio.wait_for(losing, 10)
    assert not first.held
    assert second.acquire()
    assert not first.acquire()
    second.release()
    assert first.acquire()


def test_two_schemas_are_two_histories(own_url: str, server: postgres.Server) -> None:
    """Of one database, each has its own operator."""
    with server.administrator(name_of(own_url)) as connection:
        connection.execute(f"CREATE SCHEMA other AUTHORIZATION {postgres.USER}".encode())
    other = f"{own_url}?options=-csearch_path%3Dother"
    first, second, third = DatabaseLock(own_url, "a"), DatabaseLock(other, "b"), DatabaseLock(other, "c")
    assert (first.acquire(), second.acquire(), third.acquire()) == (True, True, False)
    assert third.holder().startswith("b, since ")
    for lock in (first, second, third):
        lock.release()


async def test_a_server_that_is_away_is_waited_for() -> None:
    """Nothing can be asked of it: that is said, and waiting goes on."""
    lock = DatabaseLock("postgresql://ann:secret@127.0.0.1:1/history", "a")
    with pytest.raises(errors.StoreUnavailable, match="/history cannot be reached") as caught:
        lock.acquire()
    assert caught.value.fault == "Away"
    assert lock.holder() == "an unknown holder"
    waiting = asyncio.create_task(lock.wait(poll_seconds=0.01))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
