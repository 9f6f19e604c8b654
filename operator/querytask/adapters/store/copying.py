"""Copies a whole history from its file into an empty PostgreSQL database, once, when an installation moves
there.

For the command line. Everything comes in one transaction, table after table as the server's COPY takes it:
what is cut short leaves nothing behind and is simply begun again, and nobody sees a part of a history. Before
it is committed the rows of every table are counted on both sides.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import failures, migrate, postgresql, schema, sqlite, witness, word_index
from querytask.adapters.store.address import Address
from querytask.adapters.store.columns import without_nul
from querytask.adapters.store.lock import HistoryLock
from querytask.adapters.store.opening import BUSY_SECONDS, MIGRATING_SECONDS
from querytask.adapters.store.postgresql_lock import DatabaseLock

HOLDER = "history copy"
AT_ONCE = 10_000
"""Rows between two words on how far it has come."""

Say = Callable[[str], None]
_WORDS = "task_words"


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of it."""

    rows: Mapping[str, int]
    """By table; the same on both sides."""
    seconds: float


def copy_history(source: Path, url: str, said: Say) -> Copied:
    """Copy the history in the directory ``source`` into the database at ``url``; no operator may run on
    either. ``said`` is told how far it has come.

    Raises ``StoreRefused`` for a URL or a server that cannot hold a history, ``StoreError`` when there is no
    history, when the database holds tasks already, or when a table has not the same rows afterwards; and
    ``StoreUnavailable`` with the fault ``Locked`` while an operator has one of the two, with ``Outdated``
    when the history is of an older release. Whatever it raises, the database is as it was.
    """
    path, address, started = source / sqlite.FILE_NAME, Address(url), time.monotonic()
    if not path.is_file():
        raise errors.StoreError(f"{path} must be a history; there is none")
    with ExitStack() as held:
        _take(held, HistoryLock(source, HOLDER), str(source))
        _take(held, DatabaseLock(url, HOLDER), str(address))
        old, new = sqlite.reading(path, BUSY_SECONDS, 1), postgresql.writing(address, MIGRATING_SECONDS)
        held.callback(old.dispose)
        held.callback(new.dispose)
        with failures.translated(path):
            reading = held.enter_context(old.connect())
            held.enter_context(reading.begin())
            migrate.check_current(reading)
        with failures.translated(address), new.connect() as writing:
            with writing.begin():
                rows = _copy(reading, writing, path, address, said)
            said("let the server look at its new rows")
            with writing.begin():
                _analyse(writing)
    return Copied(rows, time.monotonic() - started)


def _take(held: ExitStack, lock: HistoryLock | DatabaseLock, place: str) -> None:
    held.callback(lock.release)
    if not lock.acquire():
        raise errors.StoreUnavailable(
            f"{place} must be used by nobody else; it is held by {lock.holder()}: stop the operator first",
            "Locked",
        )


def _copy(
    reading: sa.Connection, writing: sa.Connection, path: Path, address: Address, said: Say
) -> dict[str, int]:
    migrate.migrate(writing)
    _check_empty(writing, address)
    tables = schema.tables.sorted_tables
    writing.execute(
        sa.text(f"TRUNCATE {', '.join(table.name for table in tables)} RESTART IDENTITY CASCADE")
    ).close()
    counted = {}
    for table in tables:
        with failures.translated(path):
            expected = reading.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        said(f"{table.name}: {expected} rows")
        _fill(writing, table, _told(_rows(reading, table, path), table.name, expected, said))
        counted[table.name] = _check_count(writing, table, expected)
    said(f"{_WORDS}: {counted['tasks']} rows")
    _fill_words(writing, _told(_words(reading, path), _WORDS, counted["tasks"], said))
    _set_sequences(reading, writing)
    return counted


def _check_empty(writing: sa.Connection, address: Address) -> None:
    for table in schema.tables.sorted_tables:
        if table is schema.heartbeat:  # an operator that has recorded nothing yet leaves its sign of life
            continue
        if writing.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            raise errors.StoreError(
                f"{address} must hold nothing yet; its table {table.name} has rows: name an empty database"
            )


def _rows(reading: sa.Connection, table: sa.Table, path: Path) -> Iterator[list[Any]]:
    """As they lie in the file, but for what PostgreSQL has a type of its own for."""
    takes = [_taking(column) for column in table.c]
    names = ", ".join(f'"{column.name}"' for column in table.c)
    with failures.translated(path):
        for row in reading.exec_driver_sql(f'SELECT {names} FROM "{table.name}"'):
            yield [None if value is None else take(value) for take, value in zip(takes, row, strict=True)]


def _taking(column: sa.Column[Any]) -> Callable[[Any], Any]:
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return bool
    if isinstance(kind, sa.Double):
        return float
    whole = isinstance(kind, sa.Integer) or getattr(kind, "impl_instance", None).__class__ is sa.BigInteger
    return int if whole else lambda value: without_nul(str(value))


def _told(rows: Iterator[Any], name: str, expected: int, said: Say) -> Iterator[Any]:
    for number in itertools.count(1):
        row = next(rows, None)
        if row is None:
            return
        if number % AT_ONCE == 0:
            said(f"{name}: {number} of {expected} rows")
        yield row


def _fill(writing: sa.Connection, table: sa.Table, rows: Iterator[list[Any]]) -> None:
    names = ", ".join(f'"{column.name}"' for column in table.c)
    _stream(writing, f'COPY "{table.name}" ({names}) FROM STDIN', rows)


def _stream(writing: sa.Connection, statement: str, rows: Iterator[Any]) -> None:
    import psycopg

    driver: Any = writing.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as stream:
            for row in rows:
                stream.write_row(row)
    except psycopg.Error as error:
        raise sa.exc.OperationalError(statement, None, error) from error


def _check_count(writing: sa.Connection, table: sa.Table, expected: int) -> int:
    found = int(writing.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    if found != expected:
        raise errors.StoreError(
            f"the table {table.name} must have {expected} rows after the copy, not {found}"
        )
    return found


def _words(reading: sa.Connection, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Ordered by text, so that each is split once."""
    question = sa.select(schema.tasks.c.place, schema.tasks.c.sql_hash, schema.queries.c.sql).join(
        schema.queries, schema.queries.c.hash == schema.tasks.c.sql_hash
    )
    last, words = "", list[str]()
    with failures.translated(path):
        for place, digest, sql in reading.execute(question.order_by(schema.tasks.c.sql_hash)):
            if digest != last:
                last, words = digest, word_index.lexemes(sql)
            yield place, words


def _fill_words(writing: sa.Connection, rows: Iterator[tuple[int, list[str]]]) -> None:
    # A word has letters, digits and underscores alone, so nothing in the quotes can mean anything else.
    told = ([place, " ".join(f"'{word}'" for word in words)] for place, words in rows)
    _stream(writing, f"COPY {_WORDS} (rowid, words) FROM STDIN", told)


def _set_sequences(reading: sa.Connection, writing: sa.Connection) -> None:
    """No number comes again, also of rows that are gone."""
    for table in (schema.transitions, schema.tables.tables["api_audit"]):
        highest = writing.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0
        if table is schema.transitions:
            highest = max(highest, witness.steps(reading))
        following = sa.text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), :next, false)")
        writing.execute(following, {"next": highest + 1}).close()


def _analyse(writing: sa.Connection) -> None:
    for name in (*schema.tables.tables, _WORDS):
        writing.execute(sa.text(f'ANALYZE "{name}"')).close()
