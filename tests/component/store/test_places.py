"""Where a history may live, with which SQLite, and who may have it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from querytask import errors
from querytask.adapters.store import HistoryLock, Store, filesystem, open_history, sqlite
from querytask.adapters.store.lock import FILE_NAME
from tests.component.store.weather import ENVIRONMENT

LOCKS_UNTIL_TOLD = """
import sys
from pathlib import Path
from querytask.adapters.store import HistoryLock
lock = HistoryLock(Path(sys.argv[1]), "operator-a")
print(lock.acquire(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="session")
def dialect() -> str:
    """File systems, and a lock on a directory."""
    return "sqlite"


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("ext4", False),
        ("xfs", False),
        ("tmpfs", False),
        ("overlay", False),
        ("fuseblk", False),
        ("fuse.fuse-overlayfs", False),
        ("nfs", True),
        ("nfs4", True),
        ("cifs", True),
        ("smb3", True),
        ("9p", True),
        ("ceph", True),
        ("lustre", True),
        ("fuse.s3fs", True),
        ("fuse", True),
    ],
)
def test_network_file_systems_are_refused(tmp_path: Path, kind: str, refused: bool) -> None:
    """By the kind of the very mount that the directory lies on, with a sentence that names both."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    told = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    os.close(descriptor)
    mount = next(line.split()[1] for line in told.splitlines() if line.startswith("mnt_id"))
    table = tmp_path / "mountinfo"
    table.write_text(
        f"1 0 0:1 / /other rw - nfs4 server:/other rw\n"
        f"{mount} 1 0:9 / /history rw shared:1 - {kind} what:/ever rw\n"
    )
    if refused:
        with pytest.raises(
            errors.StoreRefused, match=rf"must be on a local file system, but .* is on {kind}"
        ):
            filesystem.check_local(tmp_path, table)
    else:
        filesystem.check_local(tmp_path, table)


def test_the_kernel_is_asked(tmp_path: Path) -> None:
    """What ``mount`` would say of this directory, whatever that is here."""
    mounted = subprocess.run(
        ["stat", "--file-system", "--format=%T", "/proc"], capture_output=True, text=True, check=True
    )
    assert filesystem.filesystem_of(Path("/proc")) == mounted.stdout.strip() == "proc"
    assert filesystem.filesystem_of(tmp_path) is not None
    assert filesystem.filesystem_of(tmp_path, tmp_path / "no such table") is None


def test_an_old_sqlite_is_refused() -> None:
    """It can lose committed rows."""
    old = ModuleType("old")
    old.sqlite_version_info, old.sqlite_version = (3, 51, 2), "3.51.2"  # type: ignore[attr-defined]
    with pytest.raises(errors.StoreRefused, match=r"must be 3\.51\.3 or newer, not 3\.51\.2"):
        sqlite.driver(old)
    assert sqlite.driver().sqlite_version_info >= sqlite.LEAST_VERSION


def test_connections_are_as_they_must_be(directory: Path) -> None:
    """Durable, in WAL mode and with foreign keys for the writer; unable to write for the readers."""
    path = directory / sqlite.FILE_NAME
    writing, reading = sqlite.writing(path, 1), sqlite.reading(path, 1, 1)
    with writing.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    with reading.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1
        with pytest.raises(Exception, match="readonly"):
            connection.exec_driver_sql("DELETE FROM tasks")
    reading.dispose()
    assert settings == ["wal", 2, 1, 1000]


async def test_odd_paths_are_no_matter(tmp_path: Path) -> None:
    """A path is a path, whatever a URI would make of it."""
    odd = tmp_path / "100% odd?mode=memory#é"
    odd.mkdir()
    await (await open_history(odd)).close()
    assert (odd / sqlite.FILE_NAME).stat().st_size > 0


@pytest.fixture
def other_operator(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock on the history."""
    command = [sys.executable, "-c", LOCKS_UNTIL_TOLD, str(directory)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


async def test_one_operator_has_the_history(directory: Path, other_operator: subprocess.Popen[str]) -> None:
    """The second waits, can say for whom, and goes on when the first has ended, however it ended."""
    second = HistoryLock(directory, "operator-b")
    assert not second.acquire()
    assert second.holder().startswith("operator-a, since 20")
    waiting = asyncio.create_task(second.wait(poll_seconds=0.01))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    other_operator.kill()
    await asyncio.wait_for(waiting, 10)
    assert second.held
    assert second.holder().startswith("operator-b, since ")
    second.release()


def test_a_lock_in_one_process_counts_too(directory: Path) -> None:
    """Two holders are two, wherever they live; releasing twice is no matter."""
    first, second = HistoryLock(directory, "a"), HistoryLock(directory, "b")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    first.release()
    first.release()
    assert second.acquire()
    second.release()


def test_who_holds_it_may_be_unknown(tmp_path: Path) -> None:
    """A file that says nothing sensible does not keep anybody from saying that they wait."""
    lock = HistoryLock(tmp_path, "a")
    assert lock.holder() == "an unknown holder"
    (tmp_path / FILE_NAME).write_text("[1]")
    assert lock.holder() == "an unknown holder"


def test_a_lock_without_a_place_is_refused(tmp_path: Path) -> None:
    """With a sentence."""
    with pytest.raises(errors.StoreUnavailable, match="must be writable"):
        HistoryLock(tmp_path / "nowhere", "a").acquire()


async def test_a_backup_is_whole(history: Store, tmp_path: Path) -> None:
    """Made while others write; opens as a history of its own with every row of its moment."""
    from tests.component.store.builders import task

    for number in range(20):
        await history.record(task(f"uid-{number}", message="b" * 500))
    target = tmp_path / "backups" / sqlite.FILE_NAME
    target.parent.mkdir()
    meanwhile = [history.record(task(f"late-{number}")) for number in range(20)]
    await asyncio.gather(history.backup(target), *meanwhile)
    assert [path.name for path in target.parent.iterdir()] == [sqlite.FILE_NAME]

    copy = await open_history(target.parent)
    found = {key.uid for key in await copy.open_tasks("analytics")}
    assert {f"uid-{number}" for number in range(20)} <= found
    await copy.integrity_check()
    await copy.close()


async def test_a_backup_without_a_place_is_refused(history: Store, tmp_path: Path) -> None:
    """The history itself is not touched by it."""
    with pytest.raises(errors.StoreUnavailable, match=r"backup .* cannot be written"):
        await history.backup(tmp_path / "nowhere" / "copy.db")
    await history.ping()
