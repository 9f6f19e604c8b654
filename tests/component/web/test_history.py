"""The API finds the history when it is made, and when another takes its place."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from querytask import errors
from querytask.adapters.store import open_history
from querytask.adapters.store.sqlite import FILE_NAME
from querytask.adapters.store.unused import MOVING
from querytask.web.feed import Feed
from querytask.web.history import History
from tests.component.store import builders


async def make(directory: Path, uid: str, steps: int = 0) -> None:
    """A history with one task, which has taken so many steps."""
    await asyncio.to_thread(directory.mkdir, exist_ok=True)
    store = await open_history(directory)
    taken = [builders.step(number=number) for number in range(1, steps + 1)]
    await store.record(builders.task(uid), transitions=taken)
    await store.close()


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[History]:
    """A history that is looked for all the time, in a folder where there is none."""
    history, stopping = History(tmp_path / "history", look_seconds=0.01), asyncio.Event()
    running = asyncio.ensure_future(history.keep(stopping))
    yield history
    stopping.set()
    await running
    await history.close()


async def holds(history: History, uid: str) -> None:
    """Come back when the history has that task."""
    async with asyncio.timeout(10):
        while True:
            try:
                if await history.store.get(uid):
                    return
            except errors.StoreUnavailable:
                pass
            await asyncio.sleep(0.01)


async def test_it_is_opened_when_the_operator_has_made_it(kept: History, tmp_path: Path):
    """Until then it is away, and that is said."""
    with pytest.raises(errors.StoreUnavailable, match="not open yet"):
        _ = kept.store
    await make(tmp_path / "history", "first")
    await holds(kept, "first")


def replace(folder: Path) -> None:
    """Put the backup in the place of the history."""
    shutil.copy(folder / "backup" / FILE_NAME, folder / "next")
    for rest in (f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
        (folder / "history" / rest).unlink(missing_ok=True)
    os.replace(folder / "next", folder / "history" / FILE_NAME)


async def test_another_file_in_its_place_is_opened(kept: History, tmp_path: Path):
    """As a restored backup is put there: under the same name, and another file."""
    await make(tmp_path / "history", "first")
    await holds(kept, "first")
    await make(tmp_path / "backup", "second")
    replace(tmp_path)
    await holds(kept, "second")
    assert await kept.store.get("first") is None


async def test_a_file_that_is_about_to_be_replaced_is_let_go(kept: History, tmp_path: Path):
    """Closed when it is replaced, it would take the new file's log with it; it is opened again after."""
    await make(tmp_path / "history", "first")
    await holds(kept, "first")
    sign = tmp_path / "history" / MOVING
    sign.touch()
    async with asyncio.timeout(10):
        while True:
            try:
                _ = kept.store
            except errors.StoreUnavailable:
                break
            await asyncio.sleep(0.01)
    sign.unlink()
    await holds(kept, "first")


async def test_a_history_of_a_newer_release_ends_the_program(tmp_path: Path):
    """To wait would mend nothing."""
    await make(tmp_path / "history", "first")
    with dbapi2.connect(tmp_path / "history" / FILE_NAME) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    history = History(tmp_path / "history")
    with pytest.raises(errors.StoreSchemaTooNew):
        await history.keep(asyncio.Event())


async def test_who_waits_for_changes_hears_of_another_file(kept: History, tmp_path: Path):
    """The steps of the new one are numbered from an earlier place, and come all the same."""
    await make(tmp_path / "history", "first", steps=5)
    await holds(kept, "first")
    await make(tmp_path / "backup", "second", steps=2)
    feed = Feed(lambda: kept.store, "analytics", seconds=0.01, most=1)
    running = asyncio.ensure_future(feed.run())
    async with feed.watching() as watch:
        assert watch.position == 5
        replace(tmp_path)
        # Unannounced: until the file is opened anew, the open one may be read through old connections and
        # new ones at once, and another history be found twice.
        async with asyncio.timeout(10):
            while not (watch.replaced() and watch.position == 2):
                await watch.news(10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
