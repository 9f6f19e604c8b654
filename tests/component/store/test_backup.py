"""Backups: of one moment, checked before they have their name, and never so many that the history has no
room."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from querytask import errors
from querytask.adapters.store import Backups, Store, backup, backups, open_history, sqlite
from tests.component.store.builders import at, step, task


@pytest.fixture(scope="session")
def dialect() -> str:
    """A copy of a file; PostgreSQL has tools of its own."""
    return "sqlite"


async def filled(history: Store, number: int, prefix: str = "uid") -> None:
    """Tasks enough for a copy of several steps."""
    await asyncio.gather(
        *[
            history.record(task(f"{prefix}-{n}", message="m" * 8000), None, None, [step()])
            for n in range(number)
        ]
    )


def uids(path: Path) -> set[str]:
    """The tasks that a backup holds, read as a user would."""
    with dbapi2.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as connection:
        found = {row[0] for row in connection.execute("SELECT uid FROM tasks")}
    connection.close()
    return found


async def test_a_backup_is_made_beside_the_history(history: Store, directory: Path) -> None:
    """Under the name of its moment, alone in its directory, and it holds what was there."""
    await filled(history, 5)
    made = await Backups(directory).make(at(0), 2)
    assert made.path == directory / "backups" / "history-20260101T120000Z.db"
    assert os.listdir(made.path.parent) == [made.path.name]
    assert made.bytes == made.path.stat().st_size
    assert uids(made.path) == {f"uid-{number}" for number in range(5)}
    assert await Backups(directory).newest() == made


async def test_so_many_are_kept(history: Store, directory: Path) -> None:
    """The newest ones; a file of another name is nobody's business."""
    files = Backups(directory)
    (directory / "backups").mkdir()
    (directory / "backups" / "mine.db").write_bytes(b"mine")
    for hour in range(4):
        await files.make(at(3600 * hour), 2)
    assert [item.at for item in backups.listed(directory)] == [at(3 * 3600), at(2 * 3600)]
    assert (directory / "backups" / "mine.db").exists()


async def test_the_backups_of_a_clock_that_was_ahead_are_older_ones(history: Store, directory: Path) -> None:
    """When the clock is right again, the next backup is the newest, and they go before it does."""
    files, later = Backups(directory), 400 * 86400
    for number in range(2):
        await filled(history, number + 1)
        await files.make(at(later + number), 2)
    await filled(history, 3)
    made = await files.make(at(10), 2)
    assert await files.newest() == made
    assert uids(made.path) == {"uid-0", "uid-1", "uid-2"}
    assert [item.at for item in backups.listed(directory)] == [at(10), at(9)]
    assert len(uids(backups.listed(directory)[1].path)) == 2
    await files.make(at(11), 2)
    assert [item.at for item in backups.listed(directory)] == [at(11), at(10)]


async def test_there_may_be_none(tmp_path: Path) -> None:
    """Before the first."""
    assert await Backups(tmp_path).newest() is None


async def test_the_writer_goes_on_meanwhile(history: Store, directory: Path) -> None:
    """A copy of many steps holds up no commit, and shows one moment: what was written after it had begun is
    not in it."""
    await filled(history, 400)
    writing, more, loop = threading.Event(), threading.Event(), asyncio.get_running_loop()

    def pause(_: float) -> None:
        writing.set()
        assert more.wait(10)

    target = directory / "copy.db"
    copying = asyncio.create_task(
        asyncio.to_thread(backup.copy, directory / sqlite.FILE_NAME, target, 1, pause=pause)
    )
    await loop.run_in_executor(None, writing.wait, 10)
    await asyncio.wait_for(filled(history, 20, "late"), 5)
    assert not copying.done()
    more.set()
    await copying
    assert uids(target) == {f"uid-{number}" for number in range(400)}


async def test_a_copy_can_be_broken_off(history: Store, directory: Path) -> None:
    """The operator ends: nothing is left of it, and it says why."""
    await filled(history, 400)
    stop = threading.Event()
    with pytest.raises(backup.Stopped):
        backup.copy(
            directory / sqlite.FILE_NAME, directory / "copy.db", 1, stop=stop, pause=lambda _: stop.set()
        )
    assert not [name for name in os.listdir(directory) if name.startswith("copy")]
    with pytest.raises(backup.Stopped):
        backup.check_file(directory / sqlite.FILE_NAME, 1, stop)


async def test_a_check_beside_others_leaves_them_half_of_the_time(
    history: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pauses for as long as it has worked; one that has the file to itself, as at a start, does not."""
    await filled(history, 400)
    monkeypatch.setattr(backup, "WORK_SECONDS", 0.0)
    path, paused = directory / sqlite.FILE_NAME, [0.0]
    backup.check_file(path, pause=paused.append)
    assert paused == [0.0]
    began = time.monotonic()
    backup.check_file(path, stop=threading.Event(), pause=paused.append)
    assert 0 < sum(paused) <= time.monotonic() - began
    monkeypatch.setattr(backup, "MOST_PAUSE_SECONDS", 1e-9)
    paused.clear()
    backup.check_file(path, stop=threading.Event(), pause=paused.append)
    assert paused
    assert max(paused) == 1e-9, "a step that took long is not waited for as long again"


async def test_what_is_damaged_gets_no_name(history: Store, directory: Path) -> None:
    """A copy is checked: the last good backup stays the newest."""
    await filled(history, 100)
    files = Backups(directory)
    good = await files.make(at(0), 1)
    await history.close()
    content = bytearray((directory / sqlite.FILE_NAME).read_bytes())
    page = content.rindex(b"m" * 3000) // 4096 * 4096
    content[page : page + 100] = b"\xff" * 100
    (directory / sqlite.FILE_NAME).write_bytes(content)
    with pytest.raises(errors.StoreCorrupt):
        await files.make(at(3600), 1)
    assert await files.newest() == good
    assert os.listdir(good.path.parent) == [good.path.name]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A volume of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_the_history_keeps_its_room(small: Path) -> None:
    """Older backups make room for a new one, but never the last; where that is not enough, none is made, and
    the history goes on."""
    history, files = await open_history(small), Backups(small)
    await filled(history, 60)
    for hour in range(3):
        await files.make(at(3600 * hour), 9)
    ballast = small / "ballast"
    leave(ballast, backups.needed(small / sqlite.FILE_NAME) - 4096)
    await files.make(at(3 * 3600), 9)
    assert [item.at for item in backups.listed(small)] == [at(hour * 3600) for hour in (3, 2, 1)]
    leave(ballast, 64 * 1024)
    with pytest.raises(errors.StoreUnavailable, match="enlarge the volume") as caught:
        await files.make(at(4 * 3600), 9)
    assert caught.value.fault == "Full"
    assert [item.at for item in backups.listed(small)] == [at(hour * 3600) for hour in (3, 2, 1)]
    ballast.unlink()
    await history.record(task("after"))
    await history.close()


def leave(ballast: Path, free: int) -> None:
    """Fill the volume until that many bytes are free."""
    ballast.unlink(missing_ok=True)
    ballast.write_bytes(b"x" * (backups.free_bytes(ballast.parent) - free))


async def test_one_is_made_at_a_time(history: Store, directory: Path) -> None:
    """The timer and somebody's command: the second is told, and spoils nothing of the first."""
    first, second = Backups(directory), Backups(directory)
    await first.make(at(0), 5)
    holding = os.open(directory / "backups", os.O_RDONLY)
    fcntl.flock(holding, fcntl.LOCK_EX)
    with pytest.raises(errors.StoreUnavailable, match="another backup is being made"):
        await second.make(at(1), 5)
    os.close(holding)
    await second.make(at(1), 5)


async def test_what_a_crash_has_left_goes(history: Store, directory: Path) -> None:
    """A copy that was cut off is no backup, and does not stay."""
    left = directory / "backups" / "history-20250101T120000Z.db.partial"
    left.parent.mkdir()
    left.write_bytes(b"half")
    made = await Backups(directory).make(at(0), 1)
    assert os.listdir(left.parent) == [made.path.name]
