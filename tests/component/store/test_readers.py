"""Lists take no turn from the questions after one task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import sqlite
from querytask.adapters.store.readers import Readers

LISTS = 2


@pytest.fixture
async def readers(tmp_path: Path) -> AsyncIterator[Readers]:
    path = tmp_path / "history.db"
    path.touch()
    found = Readers(sqlite.reading(path, 1.0, 1 + LISTS), path, 1, LISTS)
    yield found
    found.close()


class Slow:
    """A question that is not answered before ``go`` is set."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, connection: sa.Connection) -> int:
        self.begun.release()
        self.go.wait(20)
        return 1


async def test_one_task_is_found_however_many_lists_are_asked_for(readers: Readers) -> None:
    """Every list that may be answered at a time is being answered, and more wait."""
    slow = Slow()
    lists = [asyncio.ensure_future(readers.ask_for(30, slow)) for _ in range(4 * LISTS)]
    for _ in range(LISTS):
        assert await asyncio.to_thread(slow.begun.acquire, timeout=20)
    assert await readers.ask(lambda connection: connection.scalar(sa.text("SELECT 42"))) == 42
    assert not any(item.done() for item in lists)
    slow.go.set()
    assert await asyncio.gather(*lists) == [1] * 4 * LISTS


async def test_a_list_that_has_waited_for_its_whole_time_is_refused(readers: Readers) -> None:
    """Whoever asked has given up: nobody works for nobody, and those behind get their turn."""
    slow = Slow()
    first = [asyncio.ensure_future(readers.ask_for(30, slow)) for _ in range(LISTS)]
    for _ in range(LISTS):
        assert await asyncio.to_thread(slow.begun.acquire, timeout=20)
    late = asyncio.ensure_future(readers.ask_for(0.0, lambda connection: 1))
    await asyncio.sleep(0)
    slow.go.set()
    with pytest.raises(errors.StoreUnavailable, match=r"had no turn for this one within 0 s") as caught:
        await late
    assert caught.value.fault == "Busy"
    await asyncio.gather(*first)
