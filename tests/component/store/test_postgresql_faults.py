"""PostgreSQL under bad weather: what the server refuses, and what it says then. A real server."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from querytask import errors
from querytask.adapters.store import open_database
from tests.component.store.builders import step, task
from tests.component.store.databases import Database
from tests.component.store.weather import fill_up, write_until_refused
from tests.kit import postgres


@pytest.fixture(scope="session")
def dialect() -> str:
    """What a server can be, a file cannot."""
    return "postgresql"


@pytest.fixture
def url(own_url: str) -> str:
    """Some of these change more than rows."""
    return own_url


@pytest.fixture
def name(url: str) -> str:
    """Of the test's database."""
    return url.rpartition("/")[2]


@pytest.fixture
def other(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Another session of the same user, outside of any transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


async def refused(url: str, **options: Any) -> errors.StoreUnavailable:
    """Why it cannot be opened now."""
    with pytest.raises(errors.StoreUnavailable) as caught:
        await open_database(url, **options)
    return caught.value


async def test_a_wrong_password_is_said_and_not_shown(server: postgres.Server, name: str) -> None:
    """With the user and the database; the password stands nowhere, neither in what led to the error."""
    error = await refused(server.url(name, password="wr0ng/secret"))
    assert error.fault == "Away"
    assert f"{postgres.USER}@127.0.0.1:{server.port}/{name} cannot be reached or does not let us in" in str(
        error
    )
    assert "password authentication failed" in str(error)
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert "wr0ng" not in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"user": "nobody"}, "nobody@127.0.0.1"),
    ],
)
async def test_a_login_that_is_refused_may_be_let_in_later(
    server: postgres.Server, name: str, change: dict[str, str], words: str
) -> None:
    """Whoever makes the user or the database need not start the operator again."""
    error = await refused(server.url(**{"database": name} | change))
    assert (error.fault, words in str(error)) == ("Away", True)


async def test_a_server_that_is_not_there_is_away() -> None:
    """And it is said at once, where nothing listens."""
    started = time.monotonic()
    error = await refused("postgresql://ann:secret@127.0.0.1:1/history")
    assert error.fault == "Away"
    assert "secret" not in "".join(traceback.format_exception(error))
    assert time.monotonic() - started < 3


async def test_of_several_servers_the_one_that_can_be_written_is_taken(
    server: postgres.Server, url: str
) -> None:
    """As after a failover."""
    history = await open_database(url.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:"))
    await history.record(task())
    await history.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with an authority, and the key and certificate of a server that it has signed."""
    script = """
    new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
    $new -x509 -keyout ca.key -out ca.crt -subj /CN=ca
    $new -keyout server.key -out server.csr -subj /CN=db
    printf 'subjectAltName=IP:127.0.0.1' > names
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out server.crt
    """
    subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


async def test_a_server_shows_who_it_is(certificates: Path) -> None:
    """With TLS, checked against the authority that is named; another authority's is not believed."""
    with postgres.Server() as server:
        for name in ("server.key", "server.crt"):
            (server.data / name).write_bytes((certificates / name).read_bytes())
            postgres.give_away(server.data / name)
            (server.data / name).chmod(0o600)
        server.stop()
        (server.data / "postgresql.auto.conf").write_text("ssl = on\n")
        server.start()
        url = server.url(server.create()) + "?sslmode=verify-full&sslrootcert="
        history = await open_database(f"{url}{certificates / 'ca.crt'}")
        await history.record(task())
        await history.close()
        other = certificates / "other.crt"
        shutil.copy(certificates / "server.crt", other)
        error = await refused(f"{url}{other}")
    assert (error.fault, "certificate verify failed" in str(error)) == ("Away", True)


async def test_a_server_without_room_for_a_session_is_away(server: postgres.Server, url: str) -> None:
    """Until others have gone."""
    with server.administrator() as connection:
        connection.execute(f"ALTER ROLE {postgres.USER} CONNECTION LIMIT 0".encode())
        try:
            error = await refused(url)
        finally:
            connection.execute(f"ALTER ROLE {postgres.USER} CONNECTION LIMIT -1".encode())
    assert (error.fault, "too many connections" in str(error)) == ("Away", True)


async def test_another_encoding_is_refused(server: postgres.Server) -> None:
    """It has no place for most of the letters of this world."""
    name = server.create("template0", "ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(errors.StoreRefused, match="must have the encoding UTF8, not LATIN1"):
        await open_database(server.url(name))
    server.drop(name)


async def test_a_database_that_takes_no_writes_is_said_to_be(
    database: Database, server: postgres.Server, name: str
) -> None:
    """As a standby is: questions are answered, and writing goes on by itself when it can."""
    history = await database.open()
    await history.record(task("before"))
    with server.administrator() as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
        server.end_sessions(name)
        with pytest.raises(errors.StoreUnavailable, match="must be the primary server") as caught:
            await history.record(task("refused"))
        assert caught.value.fault == "ReadOnly"
        assert await history.get("before") is not None
        connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
    server.end_sessions(name)
    await history.record(task("after"))
    await history.close()


async def test_a_user_without_the_right_to_make_tables(server: postgres.Server, blank: Database) -> None:
    """Is told which right is missing."""
    url = getattr(blank, "url", "")
    with server.administrator(url.rpartition("/")[2]) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("ALTER SCHEMA public OWNER TO postgres")
    error = await refused(url)
    assert (error.fault, "must be allowed to make" in str(error)) == ("ReadOnly", True)


async def test_another_session_may_hold_a_table_for_a_while(database: Database, other: Any) -> None:
    """A writer waits for its turn, without keeping the event loop."""
    history = await database.open()
    with other.transaction():
        other.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
        writing = asyncio.create_task(history.record(task("meanwhile")))
        for _ in range(10):
            assert await history.get("nobody") is None
            await asyncio.sleep(0.01)
        assert not writing.done()
    assert (await writing).task.uid == "meanwhile"
    await history.close()


async def test_a_table_that_stays_locked_is_said_to_be(database: Database, other: Any) -> None:
    """After the time that a writer waits, the error names the fault; nothing of it is written, and later all
    goes on."""
    history = await database.open(busy_seconds=0.1)
    with other.transaction():
        other.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
        answers = await asyncio.gather(
            *[history.record(task(f"uid-{number}")) for number in range(20)], return_exceptions=True
        )
    assert {getattr(error, "fault", None) for error in answers} == {"Locked"}
    assert "locked by another session" in str(answers[0])
    assert await history.open_tasks("analytics") == []
    assert (await history.record(task("uid-0"))).task.uid == "uid-0"
    await history.close()


async def test_tables_that_were_dropped_are_missed(database: Database, other: Any) -> None:
    """And who must start is said."""
    history = await database.open()
    other.execute("DROP TABLE heartbeat")
    with pytest.raises(errors.StoreUnavailable, match="not all of its tables") as caught:
        await history.ping()
    assert caught.value.fault == "Outdated"
    await history.close()


async def test_a_question_that_is_broken_off_may_be_asked_again(
    database: Database, server: postgres.Server, name: str
) -> None:
    """As an administrator does who looks for long ones."""
    history = await database.open(busy_seconds=30)
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    )
    with server.administrator(name) as holder, server.administrator() as connection, holder.transaction():
        holder.execute("LOCK TABLE tasks IN EXCLUSIVE MODE")
        writing = asyncio.create_task(history.record(task()))
        while not connection.execute(cancel, (name,)).fetchall():  # noqa: ASYNC110 -- only the server knows
            await asyncio.sleep(0.01)
        with pytest.raises(errors.StoreUnavailable, match="broken the question off") as caught:
            await writing
    assert caught.value.fault == "Busy"
    await history.record(task())
    await history.close()


@contextmanager
def small_tablespace(server: postgres.Server, size: str) -> Iterator[Path]:
    """A small volume with a tablespace called ``small`` on it."""
    folder = Path(tempfile.mkdtemp(prefix="querytask-small-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        postgres.give_away(folder)
        with server.administrator() as connection:
            connection.execute(f"CREATE TABLESPACE small OWNER {postgres.USER} LOCATION '{folder}'".encode())
        yield folder
        with server.administrator() as connection:
            connection.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


async def test_a_full_volume_stops_writes_and_nothing_else(
    server: postgres.Server, empty_database: str
) -> None:
    """What was asked for is refused with a sentence, reads go on, no row is lost; and it mends by itself."""
    with small_tablespace(server, "24m") as folder:
        name = server.create(empty_database, "TABLESPACE small")
        history = await open_database(server.url(name))
        await history.record(task("before"), None, None, [step()])
        ballast = folder / "ballast"
        fill_up(ballast)
        written, fault = await write_until_refused(history)
        assert (fault.fault, "has no room: free space" in str(fault)) == ("Full", True)
        for uid in ["before", *written]:
            assert await history.get(uid) is not None
        ballast.unlink()
        await history.ping()
        await history.record(task("after"))
        await history.integrity_check()
        await history.close()
        server.drop(name)


async def test_backups_are_made_elsewhere(database: Database, tmp_path: Path) -> None:
    """And that is said."""
    history = await database.open()
    with pytest.raises(errors.StoreError, match="such as pg_dump"):
        await history.backup(tmp_path / "copy.db")
    await history.close()
