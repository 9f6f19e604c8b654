"""PostgreSQL as the history needs it: which server, which settings of a connection, which transactions.

The counterpart of ``sqlite``. One writer has the history's tables: each writing transaction takes a lock of
the database first, so that two operators are serialised and the numbers of steps come in the order of their
commits. Readers see one moment and cannot write. The driver is imported only where a URL is used.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import failures
from querytask.adapters.store.address import Address

LEAST_VERSION = 13
CONNECT_SECONDS = 5
ANSWER_SECONDS = 5.0
"""How much longer than it may wait for a lock the server may take for a statement, or for a commit: one that
does not answer by then is away, though its connection stands."""
QUICK_SECONDS = 1.0
"""A refusal that comes sooner costs nobody anything."""
IDLE_SECONDS = 60
"""How long the server keeps a transaction in which nothing is asked: whoever began it hangs."""
OPERATOR, API = "querytask-operator", "querytask-api"
"""How the sessions are called in ``pg_stat_activity``."""

_NETWORK = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "client_encoding": "UTF8",
}
"""A server that is cut off is noticed within half a minute. A parameter of the URL comes first."""
_SESSION = """
SET lock_timeout = {lock};
SET idle_in_transaction_session_timeout = {idle};
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET jit = off;
SET client_min_messages = warning;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
"""The keepalives here are the server's: it lets go of the locks of a client that is cut off."""


class Key(enum.IntEnum):
    """The first half of an advisory lock's key; the other one is the schema, so that two histories of one
    database do not meet."""

    HISTORY = 0x51540001
    """Held by a transaction that writes the operator's tables."""
    API = 0x51540002
    """Held by one that writes the API's."""
    OPERATOR = 0x51540003
    """Held by the session of the one operator."""


SCHEMA_KEY = "hashtext(coalesce(current_schema(), ''))"


class Reach:
    """What is known of the way to one server: where a connection was not made in its time, the next one is
    not tried for as long again. So one that hangs costs those who ask it half of their time at most, and
    mostly nothing: they are told at once that it is away."""

    def __init__(self) -> None:
        self._until, self._why = 0.0, ""

    def connect(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives; raises the driver's errors."""
        import psycopg

        began = time.monotonic()
        if began < self._until:
            raise psycopg.OperationalError(self._why)
        try:
            return make()
        except psycopg.OperationalError as error:
            took = time.monotonic() - began
            if took >= QUICK_SECONDS:
                self._until, self._why = time.monotonic() + took, str(error)
            raise


def connect(address: Address, name: str, busy_seconds: float, **options: Any) -> Any:
    """A connection of the driver, ready for use and outside of any transaction.

    Raises ``StoreRefused`` for a server that cannot hold a history, and the driver's errors.
    """
    from querytask.adapters.store.postgresql_session import Session

    asked = {**_NETWORK, **address.parameters, "application_name": name[:63]}
    if "," in asked.get("host", ""):
        asked.setdefault("target_session_attrs", "read-write")
    connection = Session.connect("", autocommit=True, **asked, **options)  # type: ignore[arg-type]
    # What waits for a lock of the server is no sign of a server that hangs.
    connection.answer_seconds = busy_seconds + ANSWER_SECONDS
    try:
        check_server(connection.info, address)
        times = {"lock": int(busy_seconds * 1000), "idle": IDLE_SECONDS * 1000}
        connection.execute(_SESSION.format(**times))
    except BaseException:
        connection.close()
        raise
    return connection


def writing(
    address: Address,
    busy_seconds: float,
    name: str = OPERATOR,
    key: Key = Key.HISTORY,
    reach: Reach | None = None,
) -> sa.Engine:
    """The engine of one writing connection, whose transactions exclude all others of that key."""
    way = reach or Reach()

    def made() -> Any:
        connection = way.connect(lambda: connect(address, name, busy_seconds))
        connection.autocommit = False
        return connection

    engine = _engine(made, sa.pool.NullPool)

    def begun(connection: sa.Connection) -> None:
        try:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key.value}, {SCHEMA_KEY})").close()
        except BaseException:
            # The driver has begun a transaction that nobody else knows of.
            with contextlib.suppress(Exception):
                connection.connection.driver_connection.rollback()  # type: ignore[union-attr]
            raise

    sa.event.listen(engine, "begin", begun)
    return engine


def reading(
    address: Address, busy_seconds: float, connections: int, name: str = OPERATOR, reach: Reach | None = None
) -> sa.Engine:
    """The engine of the readers: each transaction sees one moment, and none can write."""
    way = reach or Reach()

    def made() -> Any:
        import psycopg

        # Nothing is prepared: a plan that was made for other values may be a bad one for these.
        connection = way.connect(lambda: connect(address, name, busy_seconds, prepare_threshold=None))
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    return _engine(made, sa.pool.QueuePool, pool_size=connections, max_overflow=0, pool_pre_ping=True)


@contextlib.contextmanager
def limited(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Let the server interrupt what ``connection`` is asked within, once ``seconds`` are over.

    The server counts anew for each statement, so it is told again when half of the time is gone.
    """
    until = time.monotonic() + seconds
    given = float("inf")

    def look(*_: Any) -> None:
        nonlocal given
        left = max(until - time.monotonic(), 0.001)
        if left < given / 2:
            given = left
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(left * 1000))}").close()
        if time.monotonic() > until:
            raise failures.late(seconds)

    sa.event.listen(connection, "before_cursor_execute", look)
    try:
        with patient(connection, seconds + ANSWER_SECONDS):
            yield
    finally:
        sa.event.remove(connection, "before_cursor_execute", look)


@contextlib.contextmanager
def patient(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Let the server take that long to answer what ``connection`` is asked within."""
    session: Any = connection.connection.driver_connection
    before, session.answer_seconds = session.answer_seconds, seconds
    try:
        yield
    finally:
        session.answer_seconds = before


def _engine(made: Callable[[], Any], pool: type[sa.Pool], **options: Any) -> sa.Engine:
    return sa.create_engine(
        "postgresql+psycopg://",
        creator=made,
        poolclass=pool,
        hide_parameters=True,
        use_native_hstore=False,
        **options,
    )


def check_server(info: Any, address: Address) -> None:
    """Raise ``StoreRefused`` unless a history can be on a server that says that of itself."""
    version, encoding = info.server_version // 10000, info.parameter_status("server_encoding")
    if info.parameter_status("crdb_version"):
        raise errors.StoreRefused(f"the server of {address} must be PostgreSQL; it is CockroachDB")
    if version < LEAST_VERSION:
        raise errors.StoreRefused(
            f"the server of {address} must be PostgreSQL {LEAST_VERSION} or newer, not {version}"
        )
    if encoding != "UTF8":
        raise errors.StoreRefused(
            f"the database of {address} must have the encoding UTF8, not {encoding}: make one by"
            " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
