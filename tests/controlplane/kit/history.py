"""The history as it is in its database, read beside the operator by a connection that cannot write."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from pysqlite3 import dbapi2

Row = dict[str, Any]


class History:
    """The database in ``directory``; every question opens it anew, so that nothing is ever held open."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "history.db"

    def task(self, uid: str) -> Row | None:
        """The row of a task."""
        return next(iter(self.rows("SELECT * FROM tasks WHERE uid = ?", uid)), None)

    def tasks(self) -> list[Row]:
        """All tasks."""
        return self.rows("SELECT * FROM tasks ORDER BY created_at, uid")

    def attempts(self, uid: str) -> list[Row]:
        """The attempts of a task, in order."""
        return self.rows("SELECT * FROM attempts WHERE uid = ? ORDER BY attempt", uid)

    def export(self, uid: str) -> Row | None:
        """The export of a task."""
        return next(iter(self.rows("SELECT * FROM exports WHERE uid = ?", uid)), None)

    def transitions(self, uid: str) -> list[tuple[str, str, int]]:
        """The steps of a task, as (phase, reason, attempt), in order."""
        rows = self.rows("SELECT phase, reason, attempt FROM transitions WHERE uid = ? ORDER BY id", uid)
        return [(row["phase"], row["reason"], row["attempt"]) for row in rows]

    def rows(self, statement: str, *values: Any) -> list[Row]:
        """What a question answers; ``?`` stands for each of ``values``."""
        if not self._file.exists():
            return []
        uri = f"{self._file.absolute().as_uri()}?mode=ro"
        with contextlib.closing(dbapi2.connect(uri, uri=True, timeout=5)) as connection:
            connection.row_factory = dbapi2.Row
            try:
                return [dict(row) for row in connection.execute(statement, values)]
            except dbapi2.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise


class DatabaseHistory(History):
    """The same in a PostgreSQL database; asked while the server is away, it fails as the driver does."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, statement: str, *values: Any) -> list[Row]:
        with psycopg.connect(self._url, row_factory=dict_row, connect_timeout=5) as connection:
            connection.read_only = True
            try:
                return connection.execute(statement.replace("?", "%s").encode(), values).fetchall()
            except psycopg.errors.UndefinedTable:
                return []
