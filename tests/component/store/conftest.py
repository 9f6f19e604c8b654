"""A real history of its own for each test: on SQLite, and the same once more on PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from querytask.adapters.store import Store, open_database, open_history
from querytask.adapters.store.schema import tables
from querytask.adapters.store.sqlite import FILE_NAME
from tests.component.store.builders import Clock
from tests.component.store.databases import Database, Postgresql, Sqlite
from tests.kit import postgres

EMPTIES = [
    *(f'DELETE FROM "{table.name}"' for table in reversed(tables.sorted_tables)),
    *(f"ALTER SEQUENCE {name}_id_seq RESTART" for name in ("transitions", "api_audit")),
]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """What the history is on. A module whose tests are about one of them says so by a fixture of this name, a
    single test by ``parametrize``."""
    found: str = request.param
    return found


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a history that has its schema and nothing else: made once, because that takes a while."""
    directory = tmp_path_factory.mktemp("empty")

    async def make() -> None:
        await (await open_history(directory)).close()

    asyncio.run(make())
    return directory / FILE_NAME


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """The PostgreSQL of the whole run; whoever stops it needs one of their own."""
    with postgres.Server() as running:
        yield running


@pytest.fixture(scope="session")
def empty_database(server: postgres.Server) -> str:
    """The name of a database with a history that has its schema and nothing else."""
    name = server.create()

    async def make() -> None:
        await (await open_database(server.url(name))).close()

    asyncio.run(make())
    return name


@pytest.fixture(scope="session")
def shared_database(server: postgres.Server, empty_database: str) -> str:
    """The name of the database that tests use one after the other: to make one takes a hundred times longer
    than to empty it."""
    return server.create(empty_database)


@pytest.fixture
def directory(tmp_path: Path, empty_history: Path) -> Path:
    """A folder with a history of its own."""
    shutil.copy(empty_history, tmp_path / FILE_NAME)
    return tmp_path


@pytest.fixture
def url(server: postgres.Server, shared_database: str) -> str:
    """The URL of a database with an empty history; whoever changes more than rows needs one of their own."""
    server.end_sessions(shared_database)
    with server.administrator(shared_database) as connection:
        connection.execute("; ".join(EMPTIES).encode())
    return server.url(shared_database)


@pytest.fixture
def own_url(server: postgres.Server, empty_database: str) -> Iterator[str]:
    """The same of a database that no other test has."""
    with postgres.database(server, empty_database) as name:
        yield server.url(name)


@pytest.fixture
def database(dialect: str, request: pytest.FixtureRequest) -> Database:
    """A history of its own, of either kind."""
    if dialect == "sqlite":
        return Sqlite(request.getfixturevalue("directory"))
    return Postgresql(request.getfixturevalue("url"))


@pytest.fixture
def blank(dialect: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A place where no history ever was."""
    if dialect == "sqlite":
        yield Sqlite(request.getfixturevalue("tmp_path"))
        return
    server: postgres.Server = request.getfixturevalue("server")
    with postgres.database(server) as name:
        yield Postgresql(server.url(name))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def history(database: Database, clock: Clock) -> AsyncIterator[Store]:
    store = await database.open(clock)
    yield store
    await store.close()
