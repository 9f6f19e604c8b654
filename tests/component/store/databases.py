"""Where the history of a test is, and how to reach it past the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from querytask.adapters.store import Store, open_database, open_history, postgresql, sqlite
from querytask.adapters.store.address import Address
from querytask.adapters.store.failures import Where
from querytask.adapters.store.history import utc_now
from querytask.adapters.store.records import Moment

BUSY_SECONDS = 5.0


class Database(Protocol):
    """The history of a test."""

    dialect: str
    where: Where

    async def open(self, clock: Callable[[], Moment] = utc_now, **options: Any) -> Store:
        """Open it, as an operator does."""

    def writing(self) -> sa.Engine:
        """The engine of a writer."""

    def reading(self, connections: int = 1) -> sa.Engine:
        """The engine of readers."""


class Sqlite:
    """In a folder."""

    dialect = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.where: Where = directory / sqlite.FILE_NAME

    async def open(self, clock: Callable[[], Moment] = utc_now, **options: Any) -> Store:
        return await open_history(self.directory, clock, **options)

    def writing(self) -> sa.Engine:
        return sqlite.writing(self.directory / sqlite.FILE_NAME, BUSY_SECONDS, create=True)

    def reading(self, connections: int = 1) -> sa.Engine:
        return sqlite.reading(self.directory / sqlite.FILE_NAME, BUSY_SECONDS, connections)


class Postgresql:
    """At a URL."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        self.url = url
        self.where: Where = Address(url)
        self._address = Address(url)

    async def open(self, clock: Callable[[], Moment] = utc_now, **options: Any) -> Store:
        return await open_database(self.url, clock, **options)

    def writing(self) -> sa.Engine:
        return postgresql.writing(self._address, BUSY_SECONDS)

    def reading(self, connections: int = 1) -> sa.Engine:
        return postgresql.reading(self._address, BUSY_SECONDS, connections)


class Questions:
    """Every question that ``connection`` is asked, with its parameters, until ``stop``."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self._asked: list[tuple[str, Any]] = []
        sa.event.listen(connection, "before_cursor_execute", self._note)

    def stop(self) -> None:
        """Of a connection that others go on with."""
        sa.event.remove(self.connection, "before_cursor_execute", self._note)

    def taken(self) -> list[tuple[str, Any]]:
        """Those since this was asked last."""
        asked, self._asked = self._asked, []
        return asked

    def _note(self, _c: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        if text.startswith(("SELECT", "(SELECT")):
            self._asked.append((text, parameters))


class Plans(Questions):
    """The same on SQLite, with the plan of each."""

    def plans(self) -> list[str]:
        """Of the questions since this was asked last."""
        return [
            row[3]
            for text, parameters in self.taken()
            for row in self.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
        ]
