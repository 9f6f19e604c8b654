"""The history under bad weather: killed, locked, full, read-only, damaged, gone. Real processes, real file
systems."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from querytask import errors
from querytask.adapters.store import Store, open_history
from querytask.adapters.store.sqlite import FILE_NAME
from querytask.names import Phase
from tests.component.store.builders import step, task
from tests.component.store.weather import assert_kept, damage, fill_up, kill_writers, write_until_refused


@pytest.fixture(scope="session")
def dialect() -> str:
    """Files and volumes; ``test_postgresql_faults`` has the server's part."""
    return "sqlite"


async def test_a_killed_writer_loses_no_row_that_it_had_answered_for(directory: Path) -> None:
    """On one and the same file."""
    promised = await asyncio.to_thread(kill_writers, str(directory))
    history = await open_history(directory)
    await assert_kept(history, promised)
    await history.close()


async def test_another_process_may_hold_the_file_for_a_while(history: Store, directory: Path) -> None:
    """A writer waits for its turn, without keeping the event loop or a reader."""
    await history.record(task("before"))
    other = dbapi2.connect(directory / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(history.record(task("meanwhile")))
    for _ in range(10):
        started = time.monotonic()
        assert await history.get("before") is not None
        await asyncio.sleep(0.01)
        assert time.monotonic() - started < 1
    assert not writing.done()
    other.execute("ROLLBACK")
    assert (await writing).task.uid == "meanwhile"
    other.close()


async def test_a_file_that_stays_locked_is_said_to_be(directory: Path) -> None:
    """After the time that a writer waits, the error names the fault; nothing of it is written, and later
    all goes on."""
    history = await open_history(directory, busy_seconds=0.1)
    other = dbapi2.connect(directory / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = await asyncio.gather(
        *[history.record(task(f"uid-{number}")) for number in range(20)], return_exceptions=True
    )
    assert {getattr(error, "fault", None) for error in refused} == {"Locked"}
    assert "locked by another process" in str(refused[0])
    other.execute("ROLLBACK")
    other.close()
    assert await history.open_tasks("analytics") == []
    assert (await history.record(task("uid-0"))).task.uid == "uid-0"
    await history.close()


def mounted(directory: Path, *arguments: str) -> Iterator[Path]:
    """``directory`` as a mount of its own, or a skipped test where that is not to be had."""
    directory.mkdir()
    done = subprocess.run(["mount", *arguments, str(directory)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=2m", "tmpfs")


async def test_a_full_volume_stops_writes_and_nothing_else(small_volume: Path) -> None:
    """Full: what was asked for is refused with a sentence, reads go on, no row is lost; and it mends by
    itself."""
    history = await open_history(small_volume)
    await history.record(task("before"), None, None, [step()])
    ballast = small_volume / "ballast"
    fill_up(ballast)

    written, refused = await write_until_refused(history)
    assert refused.fault == "Full"
    assert "is full: free space on it" in str(refused)
    with pytest.raises(errors.StoreUnavailable):
        await history.ping()
    for uid in ["before", *written]:
        assert await history.get(uid) is not None

    ballast.unlink()
    await history.ping()
    assert (await history.record(task("after"))).task.uid == "after"
    await history.integrity_check()
    await history.close()


async def test_a_full_volume_is_said_at_the_start(small_volume: Path) -> None:
    """An operator that starts on a full volume says what is wrong, and starts once it is mended."""
    ballast = small_volume / "ballast"
    fill_up(ballast)
    with pytest.raises(errors.StoreUnavailable) as caught:
        await open_history(small_volume)
    assert caught.value.fault == "Full"
    ballast.unlink()
    await (await open_history(small_volume)).close()


@pytest.fixture
def read_only(tmp_path: Path, directory: Path) -> Iterator[Path]:
    for path in mounted(tmp_path / "fixed", "--bind", str(directory)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield path


async def test_a_read_only_volume_is_said_to_be(read_only: Path) -> None:
    """With what to do about it."""
    with pytest.raises(errors.StoreUnavailable, match="writable") as caught:
        await open_history(read_only)
    assert caught.value.fault == "ReadOnly"


async def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The volume is not mounted, or the setting is wrong."""
    with pytest.raises(errors.StoreUnavailable, match="must be a readable directory"):
        await open_history(tmp_path / "nowhere")


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    """It is not written over."""
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 1000)
    with pytest.raises(errors.StoreCorrupt, match="restore it from a backup"):
        await open_history(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"no database")


async def test_damage_inside_is_found(directory: Path) -> None:
    """``integrity_check`` reads every page."""
    history = await open_history(directory)
    for number in range(50):
        await history.record(task(f"uid-{number}", message="z" * 1000))
    await history.close()
    damage(directory / FILE_NAME, b"z" * 1000)
    history = await open_history(directory)
    with pytest.raises(errors.StoreCorrupt, match="is damaged"):
        await history.integrity_check()
    await history.close()


async def test_parts_without_a_task_are_damage(directory: Path, history: Store) -> None:
    """``integrity_check`` also finds what is sound page by page and yet cannot be."""
    await history.record(task(), None, None, [step()])
    await history.integrity_check()
    other = dbapi2.connect(directory / FILE_NAME, isolation_level=None)
    other.execute("DELETE FROM tasks")
    other.close()
    with pytest.raises(errors.StoreCorrupt, match="transitions"):
        await history.integrity_check()


async def test_a_file_that_was_removed_is_missed(history: Store, directory: Path) -> None:
    """Writes into a file without a name would be lost at the next start; readiness says so at once."""
    await history.ping()
    (directory / FILE_NAME).unlink()
    with pytest.raises(errors.StoreUnavailable, match="is gone"):
        await history.ping()


async def test_a_second_program_reads_while_one_writes(history: Store, directory: Path) -> None:
    """The API's process opens the same file without migrating it, and sees what was committed."""
    second = await open_history(directory, migrating=False)
    await history.record(task(phase=Phase.RUNNING))
    stored = await second.get("uid-1")
    assert stored is not None
    assert stored.task.phase == Phase.RUNNING
    await second.close()


async def test_a_second_program_begins_while_one_hangs_in_a_write(history: Store, directory: Path) -> None:
    """To read takes no turn, and whoever holds it may be suspended, or wait for a disk."""
    await history.record(task())
    other = dbapi2.connect(directory / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    second = await open_history(directory, migrating=False, busy_seconds=0.1)
    assert await second.get("uid-1") is not None
    other.close()
    await second.close()
