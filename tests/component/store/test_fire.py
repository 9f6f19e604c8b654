"""The history under fire: what ends its process, takes its disk or its files away, or comes at a bad moment.

With ``test_faults`` this is the table of ``docs/explanation/history-under-fire.md``. Real processes, real
file systems; none of it may lose a row that was answered for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from querytask import errors
from querytask.adapters.store import Backups, Store, open_history, prepare_history, restore
from querytask.adapters.store.sqlite import FILE_NAME
from querytask.adapters.store.unused import Patience, moving
from tests.component.store.builders import Clock, step, task
from tests.component.store.weather import ENVIRONMENT, damage

LOGS = ("-wal", "-shm")


@pytest.fixture(scope="session")
def dialect() -> str:
    """Files, their logs and their locks; ``test_postgresql_fire`` has the server's part."""
    return "sqlite"


async def uids(directory: Path) -> set[str]:
    """Every task that the history holds, which must be whole."""
    history = await open_history(directory)
    try:
        await history.integrity_check()
        return {key.uid for key in await history.present_tasks("analytics", limit=100_000)}
    finally:
        await history.close()


def crashed(directory: Path, target: Path) -> Path:
    """The files as a killed operator leaves them, while it still runs here."""
    target.mkdir()
    for name in (FILE_NAME, *(f"{FILE_NAME}{suffix}" for suffix in LOGS), f"{FILE_NAME}.seen"):
        if (directory / name).exists():
            shutil.copy(directory / name, target / name)
    return target


async def filled(history: Store, *names: str) -> None:
    for name in names:
        await history.record(task(name), None, None, [step()])
    await history.ping()


async def test_a_lost_log_is_noticed(directory: Path, history: Store, tmp_path_factory) -> None:
    """The database is whole and only older: what it has is kept, and that steps are missing is known, until
    somebody works with it again."""
    await filled(history, "a", "b", "c")
    left = crashed(directory, tmp_path_factory.mktemp("crash") / "left")
    for suffix in LOGS:
        (left / f"{FILE_NAME}{suffix}").unlink()
    prepared = await prepare_history(left, Clock())
    assert (prepared.missing, prepared.damage, prepared.aside) == (3, "", None)
    again = await open_history(left)
    await again.ping()
    await again.close()
    assert (await prepare_history(left, Clock())).missing == 0


async def test_a_backup_that_has_more_than_the_file_without_its_log_is_restored(
    directory: Path, history: Store, tmp_path_factory
) -> None:
    """The older file is kept beside it."""
    await filled(history, "a", "b")
    backup = await Backups(directory).make(Clock()(), 2)
    await filled(history, "c")
    left = crashed(directory, tmp_path_factory.mktemp("crash") / "left")
    shutil.copytree(directory / "backups", left / "backups")
    for suffix in LOGS:
        (left / f"{FILE_NAME}{suffix}").unlink()
    prepared = await prepare_history(left, Clock())
    assert prepared.restored is not None
    assert prepared.restored.at == backup.at
    assert "3 of its newest steps are missing" in prepared.damage
    assert await uids(left) == {"a", "b"}
    assert (await prepare_history(left, Clock())).missing == 0


async def test_a_log_that_is_there_loses_nothing(directory: Path, history: Store, tmp_path_factory) -> None:
    """The ordinary crash: nothing is missing, nothing is damaged."""
    await filled(history, "a", "b", "c")
    left = crashed(directory, tmp_path_factory.mktemp("crash") / "left")
    prepared = await prepare_history(left, Clock())
    assert (prepared.missing, prepared.damage) == (0, "")
    assert await uids(left) == {"a", "b", "c"}


async def test_nothing_is_missed_after_an_orderly_end(directory: Path, history: Store) -> None:
    """The log goes with the last connection, and it is not missed."""
    await filled(history, "a")
    await history.close()
    assert not (directory / f"{FILE_NAME}-wal").exists()
    assert (await prepare_history(directory, Clock())).missing == 0


async def test_a_note_that_cannot_be_read_misses_nothing(directory: Path, history: Store) -> None:
    """It is a hint, and never in the way."""
    await filled(history, "a")
    (directory / f"{FILE_NAME}.seen").write_text("[")
    assert (await prepare_history(directory, Clock())).missing == 0


async def test_damage_that_shows_later_is_not_forgotten(directory: Path, history: Store) -> None:
    """A question meets it; from then on the history is said to be damaged, though its heartbeat could be
    written, until a start has put it in order."""
    for number in range(50):
        await history.record(task(f"uid-{number}", message="z" * 1000))
    backup = await Backups(directory).make(Clock()(), 1)
    await history.close()
    again = await open_history(directory)
    await again.ping()
    damage(directory / FILE_NAME, b"z" * 1000)
    with pytest.raises(errors.StoreCorrupt):
        await again.integrity_check()
    with pytest.raises(errors.StoreCorrupt, match="restore it from a backup"):
        await again.ping()
    await again.close()
    prepared = await prepare_history(directory, Clock(), patience=Patience(0.0, 0.1))
    assert prepared.restored is not None
    assert prepared.restored.at == backup.at
    assert len(await uids(directory)) == 50


READS = """
import sys
from pysqlite3 import dbapi2
other = dbapi2.connect(sys.argv[1], isolation_level=None)
other.execute("SELECT count(*) FROM tasks").fetchall()
print("held", flush=True)
sys.stdin.readline()
"""


async def test_a_file_that_is_open_elsewhere_is_not_moved(directory: Path, history: Store) -> None:
    """The other process would remove the log of the new file when it closes the old one: so nothing is moved
    until it has let go; then it is."""
    await filled(history, "a")
    backup = await Backups(directory).make(Clock()(), 1)
    await history.close()
    with held(directory / FILE_NAME, READS):
        restore.stage(directory, backup.path)
        before = sorted(os.listdir(directory))
        with pytest.raises(errors.StoreUnavailable, match="another process has it open") as caught:
            await prepare_history(directory, Clock(), patience=Patience(0.0, 0.1))
        assert caught.value.fault == "Locked"
        assert sorted(os.listdir(directory)) == before
    assert (await prepare_history(directory, Clock(), patience=Patience(0.0, 0.1))).asked
    assert await uids(directory) == {"a"}


WAITS = """
import sys, time
from pathlib import Path
from pysqlite3 import dbapi2
from querytask.adapters.store import moving
other = dbapi2.connect(sys.argv[1], isolation_level=None)
other.execute("SELECT count(*) FROM tasks").fetchall()
print("held", flush=True)
while not moving(Path(sys.argv[1]).parent):
    time.sleep(0.01)
other.close()
sys.stdin.readline()
"""


async def test_who_has_it_open_is_asked_to_let_go(directory: Path, history: Store) -> None:
    """As the API's process does: then it is replaced, and the sign is taken away."""
    await filled(history, "a")
    restore.stage(directory, (await Backups(directory).make(Clock()(), 1)).path)
    await history.close()
    with held(directory / FILE_NAME, WAITS):
        assert (await prepare_history(directory, Clock(), patience=Patience(0.0, 10.0))).asked
        assert not moving(directory)
    assert await uids(directory) == {"a"}


HOLDS = """
import sys, time
from pysqlite3 import dbapi2
other = dbapi2.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
other.execute("ROLLBACK")
"""


@contextlib.contextmanager
def held(path: Path, program: str = HOLDS) -> Iterator[None]:
    """Another process has the file open, has begun to write by default, and takes its time."""
    command, pipe = [sys.executable, "-c", program, str(path)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("\n")


async def test_a_file_that_is_locked_for_long_costs_steps_and_no_rows(directory: Path) -> None:
    """Another process holds it for longer than a writer waits: each step is refused by name and time, reads
    go on at their speed, what was written before stays, and all goes on when it lets go."""
    history = await open_history(directory, busy_seconds=0.3)
    await filled(history, "before")
    with held(directory / FILE_NAME):
        for number in range(3):
            started = time.monotonic()
            with pytest.raises(errors.StoreUnavailable) as caught:
                await history.record(task(f"refused-{number}"))
            assert caught.value.fault == "Locked"
            assert time.monotonic() - started < 2
            assert await history.get("before") is not None
        with pytest.raises(errors.StoreUnavailable):
            await history.ping()
    assert await history.get("refused-0") is None
    await filled(history, "after")
    await history.close()
    assert await uids(directory) == {"before", "after"}


BACKS_UP = """
import asyncio, datetime as dt, sys
from pathlib import Path
from tests.component.store.builders import step, task
from querytask.adapters.store import Backups, open_history

async def main(directory):
    store, number = await open_history(Path(directory)), 0
    files = Backups(Path(directory))
    async def write():
        nonlocal number
        while True:
            await store.record(task(f"uid-{number}", message="x" * 2000), None, None, [step()])
            print(f"uid-{number}", flush=True)
            number += 1
    async def back_up():
        at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        while True:
            at += dt.timedelta(seconds=1)
            await files.make(at, 2)
            print("backup", flush=True)
    await asyncio.gather(write(), back_up())

asyncio.run(main(sys.argv[1]))
"""


def test_killed_in_the_middle_of_backups(directory: Path) -> None:
    """SIGKILL while rows are written and backups are made: no row is lost, and every file that has a
    backup's name is whole."""
    with subprocess.Popen(
        [sys.executable, "-c", BACKS_UP, str(directory)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as writing:
        assert writing.stdout is not None
        told, backups = [], 0
        while backups < 4:
            line = writing.stdout.readline().strip()
            assert line
            told.append(line)
            backups += line == "backup"
        writing.send_signal(signal.SIGKILL)
        told += [line.strip() for line in writing.stdout if line.endswith("\n")]
    promised = {line for line in told if line.startswith("uid-")}
    for name in os.listdir(directory / "backups"):
        if name.endswith(".db"):
            file = dbapi2.connect(directory / "backups" / name)
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            file.close()
    assert asyncio.run(prepare_history(directory, Clock())).damage == ""
    assert promised <= asyncio.run(uids(directory))
