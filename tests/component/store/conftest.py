"""A real history in a folder of its own for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from querytask.adapters.store import Store, open_history
from querytask.adapters.store.sqlite import FILE_NAME
from tests.component.store.builders import Clock


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a history that has its schema and nothing else: made once, because that takes a while."""
    directory = tmp_path_factory.mktemp("empty")

    async def make() -> None:
        await (await open_history(directory)).close()

    asyncio.run(make())
    return directory / FILE_NAME


@pytest.fixture
def directory(tmp_path: Path, empty_history: Path) -> Path:
    """A folder with a history of its own."""
    shutil.copy(empty_history, tmp_path / FILE_NAME)
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def history(directory: Path, clock: Clock) -> AsyncIterator[Store]:
    store = await open_history(directory, clock)
    yield store
    await store.close()
