"""A history that is damaged or lost is moved aside, and the newest usable backup takes its place; what only
looks like damage is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from querytask import errors
from querytask.adapters.store import Backups, damaged_files, open_history, prepare_history, restore, sqlite
from querytask.adapters.store.restore import STAGED, Prepared
from querytask.adapters.store.unused import Patience
from tests.component.store.builders import Clock, at, task
from tests.component.store.weather import damage

FILE = sqlite.FILE_NAME


async def written(directory: Path, *uids: str) -> None:
    """Record tasks, and close."""
    history = await open_history(directory)
    for uid in uids:
        await history.record(task(uid, message="z" * 1000))
    await history.close()


async def backed_up(directory: Path, hour: float, *uids: str) -> Path:
    """Record tasks and make a backup with them."""
    await written(directory, *uids)
    return (await Backups(directory).make(at(3600 * hour), 9)).path


async def found(directory: Path) -> set[str]:
    """Open what is there; its tasks."""
    history = await open_history(directory)
    try:
        await history.integrity_check()
        return {key.uid for key in await history.present_tasks("analytics")}
    finally:
        await history.close()


async def prepare(directory: Path, clock: Callable[[], object] | None = None) -> Prepared:
    return await prepare_history(directory, Clock(), busy_seconds=0.1, patience=Patience(0.0, 0.0))


async def test_a_sound_history_is_looked_at_and_left(directory: Path) -> None:
    """How long that took and how much it was can be told."""
    await written(directory, "a")
    before = (directory / FILE).read_bytes()
    prepared = await prepare(directory)
    assert (prepared.damage, prepared.aside, prepared.restored, prepared.asked) == ("", None, None, False)
    assert prepared.bytes == len(before)
    assert 0 < prepared.seconds < 5
    assert (directory / FILE).read_bytes() == before


async def test_a_new_installation_is_no_loss(tmp_path: Path) -> None:
    """No file, or an empty one that a crash has left at the very beginning."""
    assert (await prepare(tmp_path)).damage == ""
    (tmp_path / FILE).touch()
    assert (await prepare(tmp_path)).damage == ""
    assert os.listdir(tmp_path) == [FILE]


def header(path: Path) -> None:
    path.write_bytes(b"no database at all" + path.read_bytes()[18:])


def page(path: Path) -> None:
    damage(path, b"z" * 1000)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def removed(path: Path) -> None:
    path.unlink()


HARMS = [header, page, cut, emptied, removed]


@pytest.mark.parametrize("harm", HARMS)
async def test_the_newest_backup_takes_the_place(directory: Path, harm: Callable[[Path], None]) -> None:
    """Whatever has happened to the file; the old one, if there is one, lies beside it under the time."""
    await backed_up(directory, 1, "a")
    newest = await backed_up(directory, 2, "b", *(f"more-{number}" for number in range(40)))
    await written(directory, "lost")
    harm(directory / FILE)
    harmed = (directory / FILE).read_bytes() if (directory / FILE).exists() else None
    prepared = await prepare(directory)
    assert prepared.damage
    assert prepared.restored is not None
    assert (prepared.restored.path, prepared.restored.at) == (newest, at(7200))
    if harmed is None:
        assert prepared.aside is None
    else:
        assert prepared.aside == directory / f"{FILE}.damaged-20260101T120000Z"
        assert prepared.aside.read_bytes() == harmed
        assert damaged_files(directory) == [prepared.aside]
    assert {"a", "b"} <= await found(directory)
    assert "lost" not in await found(directory)
    assert (await prepare(directory)).damage == ""


async def test_without_a_backup_it_begins_empty(directory: Path) -> None:
    """And keeps what was there, each time under a name of its own."""
    for number in range(2):
        header(directory / FILE)
        prepared = await prepare(directory)
        assert (bool(prepared.damage), prepared.restored) == (True, None)
        assert await found(directory) == set()
        assert len(damaged_files(directory)) == number + 1


async def test_a_damaged_backup_is_passed_over(directory: Path) -> None:
    """An older one that is whole is better."""
    await backed_up(directory, 1, "a")
    page(await backed_up(directory, 2, "b"))
    header(await backed_up(directory, 3, "c"))
    header(directory / FILE)
    prepared = await prepare(directory)
    assert prepared.restored is not None
    assert prepared.restored.at == at(3600)
    assert await found(directory) == {"a"}


def changed(path: Path, statement: str) -> None:
    with dbapi2.connect(path) as connection:
        connection.execute(statement)
    connection.close()


async def test_a_newer_schema_is_not_put_aside(directory: Path) -> None:
    """Neither as damage, nor as a backup that this release cannot read."""
    newer = await backed_up(directory, 1, "a")
    changed(newer, "UPDATE alembic_version SET version_num = '9999'")
    header(directory / FILE)
    with pytest.raises(errors.StoreSchemaTooNew):
        await prepare(directory)
    assert (directory / FILE).read_bytes().startswith(b"no database")
    shutil.copy(newer, directory / FILE)
    assert (await prepare(directory)).damage == ""
    with pytest.raises(errors.StoreSchemaTooNew):
        await open_history(directory)


async def test_a_locked_file_is_not_damaged(directory: Path) -> None:
    """Whoever holds it will let go."""
    await backed_up(directory, 1, "a")
    other = dbapi2.connect(directory / FILE, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(errors.StoreUnavailable) as caught:
        await prepare(directory)
    assert caught.value.fault == "Locked"
    other.execute("ROLLBACK")
    other.close()
    assert (await prepare(directory)).damage == ""
    assert damaged_files(directory) == []


@pytest.fixture
def full(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A full volume with a history and a backup."""
    folder = tmp_path_factory.mktemp("full")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    shutil.copy(directory / FILE, folder / FILE)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_no_room_to_restore_changes_nothing(full: Path) -> None:
    """A damaged history on a full volume stays where it is until there is room; then it is restored."""
    await backed_up(full, 1, "a")
    header(full / FILE)
    (full / "ballast").write_bytes(b"x" * (os.statvfs(full).f_bavail * 4096 - 8192))
    before = sorted(os.listdir(full))
    with pytest.raises(errors.StoreUnavailable) as caught:
        await prepare(full)
    assert caught.value.fault == "Full"
    assert sorted(os.listdir(full)) == before
    (full / "ballast").unlink()
    assert (await prepare(full)).restored is not None
    assert await found(full) == {"a"}


async def test_a_restore_can_be_asked_for(directory: Path) -> None:
    """It is checked at once and done at the next start; what was there is kept under the time."""
    backup = await backed_up(directory, 1, "a")
    await written(directory, "b")
    restore.stage(directory, backup)
    assert await found(directory) == {"a", "b"}
    prepared = await prepare(directory)
    assert prepared.asked
    assert prepared.damage == ""
    assert prepared.aside == directory / f"{FILE}.replaced-20260101T120000Z"
    assert await found(directory) == {"a"}
    assert damaged_files(directory) == []
    assert not (await prepare(directory)).asked


async def test_what_cannot_be_restored_is_refused_at_once(directory: Path, tmp_path: Path) -> None:
    """No file, no database, no history, damaged: with a sentence, and nothing is staged."""
    backup = await backed_up(directory, 1, "a")
    other, text = tmp_path / "other.db", tmp_path / "text.db"
    changed(other, "CREATE TABLE mine (x)")
    text.write_text("no database" * 1000)
    page(backup)
    for source, sentence in [
        (tmp_path / "nowhere", "must be a file"),
        (other, "must be a backup of a history"),
        (text, "is damaged"),
        (backup, "is damaged"),
    ]:
        with pytest.raises(errors.StoreError, match=sentence):
            restore.stage(directory, source)
    assert not [name for name in os.listdir(directory) if name.startswith(STAGED)]


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
async def test_a_crash_in_the_middle_is_gone_on_with(directory: Path, renames: int) -> None:
    """After each rename: the next start ends with the backup in its place and nothing lost."""
    backup = await backed_up(directory, 1, "a")
    history = await open_history(directory)
    await history.record(task("b"))
    # As a killed operator leaves it: with its logs.
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(directory / f"{FILE}{suffix}", directory / f"kept{suffix}")
    await history.close()
    for suffix in ("", "-wal", "-shm"):
        os.replace(directory / f"kept{suffix}", directory / f"{FILE}{suffix}")
    restore.stage(directory, backup)
    for suffix in ("-wal", "-shm", "")[:renames]:
        os.rename(directory / f"{FILE}{suffix}", directory / f"{FILE}.damaged-20250101T120000Z{suffix}")
    assert (await prepare(directory)).asked
    assert await found(directory) == {"a"}
    aside = {name.rpartition("Z")[2] for name in os.listdir(directory) if name.startswith(f"{FILE}.")}
    assert aside == {"", "-wal", "-shm"}
