"""The connections of a history on PostgreSQL: to which server, and as which session."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import postgresql
from querytask.adapters.store.address import Address
from tests.component.store.weather import ENVIRONMENT

ADDRESS = Address("postgresql://ann:secret@db/history")


def info(version: int = 150000, **told: str) -> SimpleNamespace:
    """What a server says of itself."""
    known = {"server_encoding": "UTF8"} | told
    return SimpleNamespace(server_version=version, parameter_status=known.get)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (info(120022), r"ann@db/history must be PostgreSQL 13 or newer, not 12"),
        (info(crdb_version="v24"), "must be PostgreSQL; it is CockroachDB"),
        (info(server_encoding="SQL_ASCII"), "must have the encoding UTF8, not SQL_ASCII"),
    ],
)
def test_a_server_that_cannot_hold_a_history_is_refused(server: SimpleNamespace, words: str) -> None:
    """With what it must be."""
    with pytest.raises(errors.StoreRefused, match=words):
        postgresql.check_server(server, ADDRESS)
    postgresql.check_server(info(130000), ADDRESS)


def setting(connection: sa.Connection, name: str) -> str:
    return str(connection.execute(sa.text(f"SHOW {name}")).scalar_one())


def test_sessions_are_as_they_must_be(url: str) -> None:
    """Durable and known by their name; let go of by the server when they are cut off; unable to write, and of
    one moment, for readers."""
    address = Address(f"{url}?options=-csynchronous_commit%3Doff")
    writing, reading = postgresql.writing(address, 1.5), postgresql.reading(address, 1.5, 1, "reader")
    with writing.connect() as connection, connection.begin():
        assert setting(connection, "synchronous_commit") == "on"
        assert setting(connection, "lock_timeout") == "1500ms"
        assert setting(connection, "idle_in_transaction_session_timeout") == "1min"
        assert setting(connection, "tcp_keepalives_idle") == "10"
        assert setting(connection, "application_name") == "querytask-operator"
        assert setting(connection, "transaction_isolation") == "read committed"
    with reading.connect() as connection, connection.begin():
        assert setting(connection, "transaction_isolation") == "repeatable read"
        assert setting(connection, "application_name") == "reader"
        with pytest.raises(sa.exc.InternalError, match="read-only transaction"):
            connection.execute(sa.text("DELETE FROM tasks"))
    reading.dispose()


def test_the_driver_is_loaded_for_a_url_alone() -> None:
    """A history in a file pays no memory for it."""
    program = "import sys, querytask.adapters.store; print('psycopg' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT)
    assert told.stdout == "False\n"
