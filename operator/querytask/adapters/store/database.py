"""The two kinds of database that can hold a history: a file of SQLite's, and a database on a PostgreSQL
server.

For ``history``, which asks the same questions of both, and ``opening``, which chooses. Here is what it takes
to reach one and to look after it; how its connections are made, ``sqlite`` and ``postgresql`` know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import backup, postgresql, schema, sqlite, witness
from querytask.adapters.store.address import Address
from querytask.adapters.store.failures import Where

CHECK_SECONDS = 3600.0
"""How long a server may take to read one table whole."""
LIMITED = {"sqlite": sqlite.limited, "postgresql": postgresql.limited}


@contextmanager
def limited(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Interrupt what ``connection`` is asked within, once ``seconds`` are over."""
    with LIMITED[connection.dialect.name](connection, seconds):
        yield


class Database(Protocol):
    """What the history needs of either."""

    where: Where
    """As sentences name it."""

    def writing(self) -> sa.Engine:
        """The engine of the one writing connection."""

    def reading(self, connections: int) -> sa.Engine:
        """The engine of that many readers."""

    def check_there(self) -> None:
        """Raise ``StoreUnavailable`` when writes would go nowhere, though no write says so."""

    def check(self, connection: sa.Connection) -> None:
        """Read everything; raise ``StoreCorrupt`` for what cannot be."""

    def backup(self, target: Path) -> None:
        """Copy it to ``target``; raises ``StoreError`` where that is another program's work."""

    def seen(self, connection: sa.Connection) -> int:
        """How many steps it has held, where a later start is to know."""

    def note(self, seen: int) -> None:
        """Keep that number beside it."""


class SqliteDatabase:
    """A history in the file at ``path``."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self.where: Where = path
        self._path, self._busy_seconds = path, busy_seconds

    def writing(self) -> sa.Engine:
        return sqlite.writing(self._path, self._busy_seconds)

    def reading(self, connections: int) -> sa.Engine:
        return sqlite.reading(self._path, self._busy_seconds, connections)

    def check_there(self) -> None:
        if not self._path.exists():
            raise errors.StoreUnavailable(f"{self._path} is gone: somebody removed it while it was in use")

    def check(self, connection: sa.Connection) -> None:
        backup.check(connection, self._path)

    def backup(self, target: Path) -> None:
        backup.copy(self._path, target, self._busy_seconds)

    def seen(self, connection: sa.Connection) -> int:
        return witness.steps(connection)

    def note(self, seen: int) -> None:
        witness.write(self._path.parent, seen)


class PostgresqlDatabase:
    """A history in the database at ``address``; ``name`` and ``key`` are of whoever opens it, ``holding``
    says whether he still may write."""

    def __init__(
        self,
        address: Address,
        busy_seconds: float,
        name: str = postgresql.OPERATOR,
        key: postgresql.Key = postgresql.Key.HISTORY,
        holding: Callable[[], bool] = lambda: True,
    ) -> None:
        self.where: Where = address
        self._holding, self._reach = holding, postgresql.Reach()
        self._address, self._busy_seconds, self._name, self._key = address, busy_seconds, name, key

    def writing(self) -> sa.Engine:
        engine = postgresql.writing(self._address, self._busy_seconds, self._name, self._key, self._reach)
        sa.event.listen(engine, "begin", self._refuse_without_lock)
        return engine

    def _refuse_without_lock(self, _: sa.Connection) -> None:
        # Asked when the transaction has had its turn, which another operator's may have come before.
        if not self._holding():
            raise errors.StoreUnavailable(
                f"the lock on {self._address} is lost, and another operator may have it:"
                " nothing is written until it is held again",
                "Away",
            )

    def reading(self, connections: int) -> sa.Engine:
        return postgresql.reading(self._address, self._busy_seconds, connections, self._name, self._reach)

    def check_there(self) -> None:
        """A server tells by itself."""

    def check(self, connection: sa.Connection) -> None:
        # The server compares a page with its checksum when it reads it; to be written out, a row is read
        # whole.
        with postgresql.patient(connection, CHECK_SECONDS):
            connection.exec_driver_sql("SET LOCAL enable_indexonlyscan = off").close()
            for table in schema.tables.sorted_tables:
                whole = sa.text(f"SELECT coalesce(sum(length({table.name}::text)), 0) FROM {table.name}")
                connection.execute(whole).scalar_one()

    def backup(self, target: Path) -> None:
        raise errors.StoreError(
            f"{self._address} must be backed up by PostgreSQL's own tools, such as pg_dump"
        )

    def seen(self, connection: sa.Connection) -> int:
        return 0

    def note(self, seen: int) -> None:
        """What a server has committed, it keeps."""
