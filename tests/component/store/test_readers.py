"""Lists take no turn from the questions after one task."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest
import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store.readers import Readers
from tests.component.store.databases import Database

LISTS = 2


@pytest.fixture
async def made(database: Database) -> AsyncIterator[Callable[[float], Readers]]:
    """Makes readers whose lists wait that long for their turn."""
    all_of_them = []

    def make(patience: float) -> Readers:
        all_of_them.append(Readers(database.reading(1 + LISTS), database.where, 1, LISTS, patience))
        return all_of_them[-1]

    yield make
    for readers in all_of_them:
        readers.close()


class Slow:
    """A question that is not answered before ``go`` is set."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, connection: sa.Connection) -> int:
        self.begun.release()
        self.go.wait(20)
        return 1


async def test_one_task_is_found_however_many_lists_are_asked_for(made: Callable[[float], Readers]) -> None:
    """Every list that may be answered at a time is being answered, and more wait."""
    slow, readers = Slow(), made(30)
    lists = [asyncio.ensure_future(readers.ask_for(30, slow)) for _ in range(4 * LISTS)]
    for _ in range(LISTS):
        assert await asyncio.to_thread(slow.begun.acquire, timeout=20)
    assert await readers.ask(lambda connection: connection.scalar(sa.text("SELECT 42"))) == 42
    assert not any(item.done() for item in lists)
    slow.go.set()
    assert await asyncio.gather(*lists) == [1] * 4 * LISTS


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_the_time_of_a_list_is_that_of_all_its_questions(made: Callable[[float], Readers]) -> None:
    """The server would give each of them the whole of it."""

    def slow(connection: sa.Connection) -> None:
        for _ in range(100):
            connection.execute(sa.text("SELECT pg_sleep(0.04)")).all()

    started = time.monotonic()
    with pytest.raises(errors.StoreTooSlow, match=r"within 0\.2 s"):
        await made(5).ask_for(0.2, slow)
    assert time.monotonic() - started < 2


async def test_a_list_that_has_waited_too_long_is_refused(made: Callable[[float], Readers]) -> None:
    """Whoever asked has given up: nobody works for nobody, and those behind get their turn."""
    readers = made(0)
    with pytest.raises(errors.StoreUnavailable, match=r"had no turn for this one within 0 s") as caught:
        await readers.ask_for(30, lambda connection: 1)
    assert caught.value.fault == "Busy"
    assert await readers.ask(lambda connection: 1) == 1
