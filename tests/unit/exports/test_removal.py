"""Removing from the volume: all that is meant, and nothing else, whatever a worker has made of its
directory."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.exports import ExportsVolume, Removal, paths, removal
from querytask_worker import contract
from tests.unit.exports.builders import NAMESPACE, UID, assignment, manifest, outcome, put, task_directory


def trash(root: Path) -> list[str]:
    return sorted(os.listdir(root / paths.TRASH))


def published(root: Path, uid: str = UID) -> Path:
    """A task's directory with a result in it."""
    directory = task_directory(root, uid)
    own = put(directory / "1" / contract.MANIFEST_FILE, manifest(uid=uid))
    put(directory / "1" / "late.parquet", b"x" * 8192)
    put(directory / "1" / contract.OUTCOME_FILE, outcome())
    os.link(own, directory / contract.MANIFEST_FILE)
    return directory


async def test_a_task_is_removed_whole(root: Path, volume: ExportsVolume) -> None:
    """Its directory is gone, its neighbours stay, and what it took is told: a file with two names counts
    once."""
    neighbour = published(root, "other")
    removed = await volume.remove_task(NAMESPACE, published(root).name)
    assert not task_directory(root).exists()
    assert (neighbour / "1" / "late.parquet").stat().st_size == 8192
    assert trash(root) == []
    assert removed.files == 4
    assert 8192 <= removed.bytes < 8192 + 3 * 4096


async def test_what_is_not_there_is_no_error(root: Path, volume: ExportsVolume) -> None:
    """Somebody else was faster, or it never was."""
    assert await volume.remove_task(NAMESPACE, UID) == Removal()
    assert await volume.remove_attempt(NAMESPACE, UID, 1) == Removal()
    assert await volume.remove_partials(NAMESPACE, UID, 1) == Removal()
    published(root)
    assert await volume.remove_attempt(NAMESPACE, UID, 2) == Removal()


async def test_an_attempt_is_removed_alone(root: Path, volume: ExportsVolume) -> None:
    """The published manifest keeps its name and its content when its attempt's folder goes."""
    directory = published(root)
    put(directory / "2" / contract.OUTCOME_FILE, outcome(attempt=2))
    await volume.remove_attempt(NAMESPACE, UID, 2)
    assert sorted(path.name for path in directory.iterdir()) == ["1", contract.MANIFEST_FILE]
    await volume.remove_attempt(NAMESPACE, UID, 1)
    assert (directory / contract.MANIFEST_FILE).read_bytes() == contract.dump(manifest())


async def test_partial_files_are_removed_alone(root: Path, volume: ExportsVolume) -> None:
    """Whatever is called ``.partial``, and nothing else."""
    directory = published(root) / "1"
    put(directory / "half.parquet.partial", b"x" * 100)
    put(directory / "folder.partial" / "deep" / "file", b"x")
    put(directory / "partial.txt", b"x")
    os.mkfifo(directory / "pipe.partial")
    removed = await volume.remove_partials(NAMESPACE, UID, 1)
    assert removed.files == 2
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        [contract.MANIFEST_FILE, contract.OUTCOME_FILE, "late.parquet", "partial.txt"]
    )


async def test_links_are_removed_and_not_followed(root: Path, volume: ExportsVolume, outside: Path) -> None:
    """Links to files and folders outside, of either kind, and one in the place of the attempt's folder."""
    directory = published(root)
    (directory / "1" / "file").symlink_to(outside / "secret")
    (directory / "1" / "folder").symlink_to(outside)
    (directory / "1" / "up").symlink_to("../../..")
    (directory / "1" / "x.partial").symlink_to(outside)
    (directory / "2").symlink_to(outside)
    os.link(outside / "secret", directory / "1" / "second-name")
    os.link(outside / "secret", directory / "1" / "second-name.partial")
    await volume.remove_partials(NAMESPACE, UID, 1)
    await volume.remove_partials(NAMESPACE, UID, 2)
    await volume.remove_attempt(NAMESPACE, UID, 2)
    assert not (directory / "2").is_symlink()
    await volume.remove_task(NAMESPACE, UID)
    assert trash(root) == []


async def test_a_link_in_the_place_of_a_directory(root: Path, volume: ExportsVolume, outside: Path) -> None:
    """Of the task it is removed itself; of the namespace nobody goes through it."""
    (root / NAMESPACE).mkdir()
    task_directory(root).symlink_to(outside)
    await volume.remove_task(NAMESPACE, UID)
    assert not task_directory(root).is_symlink()
    (root / "linked").symlink_to(outside)
    await volume.remove_task("linked", "secret")


async def test_any_name_can_be_removed(root: Path, volume: ExportsVolume) -> None:
    """Newlines, bytes that are no text, the longest names, names that look like options or like the trash's
    own."""
    directory = published(root)
    names = [b"new\nline", b"\xff\xfe", b"-rf", b"...", b".trash", b"x" * 255, "é".encode() * 127, b" "]
    for name in names:
        (directory / "1" / os.fsdecode(name)).write_bytes(b"x")
        folder = directory / os.fsdecode(b"F" + name[:254])
        folder.mkdir()
        (folder / os.fsdecode(name)).mkdir()
        (folder / os.fsdecode(name) / "deep").write_bytes(b"x")
    await volume.remove_task(NAMESPACE, UID)
    assert trash(root) == []
    assert not task_directory(root).exists()


async def test_depth_is_no_matter(root: Path, volume: ExportsVolume) -> None:
    """Folders in folders, deeper than a path can be written or a function can call itself."""
    directory = published(root)
    descriptor = os.open(directory, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("folder", dir_fd=descriptor)
        inner = os.open("folder", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    await volume.remove_task(NAMESPACE, UID)
    assert trash(root) == []


async def test_removals_meet_without_harm(root: Path, volume: ExportsVolume) -> None:
    """The same and other tasks at one time, also from two processes' worth of volumes, and while a worker
    still writes."""
    other = ExportsVolume(root)
    uids = [f"uid-{number}" for number in range(10)]
    for uid in uids:
        published(root, uid)
    worker = os.open(task_directory(root, "uid-0"), os.O_RDONLY)
    removals = [each.remove_task(NAMESPACE, uid) for uid in uids for each in (volume, other, volume)]
    await asyncio.gather(*removals)
    assert os.listdir(root / NAMESPACE) == []
    with pytest.raises(FileNotFoundError):
        os.open("late", os.O_CREAT | os.O_WRONLY, dir_fd=worker)
    os.close(worker)
    await volume.empty_trash()
    assert trash(root) == []
    other.close()


async def test_a_crash_in_the_middle_is_finished_later(root: Path, volume: ExportsVolume) -> None:
    """What was renamed away and not unlinked is emptied by whoever comes next; its name was free at once."""
    published(root)
    with paths.opened(root) as top, paths.opened(root, NAMESPACE) as namespace:
        assert removal.throw_away(top, namespace, UID)
    assert not task_directory(root).exists()
    assert trash(root) != []
    assert (await volume.empty_trash()).files == 4
    assert trash(root) == []


def test_emptying_ends_although_somebody_goes_on_writing(root: Path) -> None:
    """The time is bounded; what is left is for the next run."""
    (root / paths.TRASH).mkdir()
    for number in range(5):
        (root / paths.TRASH / f"folder-{number}" / "inner").mkdir(parents=True)
    seconds = iter(range(100))
    with paths.opened(root) as top:
        removed, fault = removal.empty(top, clock=lambda: next(seconds) * 20.0)
    assert (removed, fault) == (Removal(), None)
    with paths.opened(root) as top:
        removal.empty(top)
    assert trash(root) == []


NOBODY = 65534


@pytest.fixture
def as_nobody(root: Path) -> Callable[[Callable[[], None]], None]:
    """Runs a function in a process of its own without rights; skipped where there is no way to give them
    up."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")

    def run(work: Callable[[], None]) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                work()
                os.write(writer, b"done")
            except BaseException as error:
                os.write(writer, repr(error).encode())
            finally:
                os._exit(0)
        os.close(writer)
        answer = os.read(reader, 4096).decode()
        os.close(reader)
        os.waitpid(child, 0)
        assert answer == "done"

    return run


def test_folders_that_a_worker_shut_are_opened(root: Path, as_nobody: Any, tmp_path: Path) -> None:
    """Worker and operator may run as one user: a folder whose mode lets nobody in is removed all the same."""
    for path in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        path.chmod(0o755)
    directory = published(root)
    (directory / "1" / "inner" / "more").mkdir(parents=True)
    for folder, _, files in os.walk(root):
        os.chown(folder, NOBODY, NOBODY)
        for name in files:
            os.chown(os.path.join(folder, name), NOBODY, NOBODY)
    for shut in (directory / "1" / "inner" / "more", directory / "1" / "inner", directory / "1", directory):
        shut.chmod(0)

    def work() -> None:
        with paths.opened(root) as top, paths.opened(root, NAMESPACE) as namespace:
            removal.throw_away(top, namespace, UID)
            _, fault = removal.empty(top)
            assert fault is None, fault

    as_nobody(work)
    assert trash(root) == []
    assert not directory.exists()


def test_what_cannot_be_removed_is_told_and_keeps_nothing_else(
    root: Path, as_nobody: Any, tmp_path: Path
) -> None:
    """Another user's folder stays in the trash, out of the way; the rest goes."""
    for path in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        path.chmod(0o755)
    top_trash = root / paths.TRASH
    (top_trash / "mine").mkdir(parents=True)
    (top_trash / "others").mkdir()
    (top_trash / "others" / "file").touch()
    for path in (root, top_trash, top_trash / "mine"):
        os.chown(path, NOBODY, NOBODY)

    def work() -> None:
        with paths.opened(root) as top:
            _, fault = removal.empty(top)
            assert isinstance(fault, PermissionError), fault

    as_nobody(work)
    assert trash(root) == ["others"]


async def test_a_volume_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """Nothing there to remove is one thing, no volume another."""
    volume = ExportsVolume(tmp_path / "not mounted")
    with pytest.raises(errors.ExportsVolumeError, match="removing analytics/"):
        await volume.remove_task(NAMESPACE, UID)
    volume.close()


async def test_a_directory_is_made_and_kept(root: Path, volume: ExportsVolume) -> None:
    """For operator and worker, whatever the umask; the second time nothing is written."""
    before = os.umask(0o077)
    os.chmod(root, 0o2770)
    try:
        await volume.prepare(NAMESPACE, UID, 1, assignment())
    finally:
        os.umask(before)
    directory = task_directory(root)
    path = directory / "1" / contract.ASSIGNMENT_FILE
    assert contract.load(contract.Assignment, path.read_bytes()) == assignment()
    for folder in (directory.parent, directory, directory / "1"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    written = path.stat()
    await volume.prepare(NAMESPACE, UID, 1, assignment())
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    await volume.prepare(NAMESPACE, UID, 1, assignment(sql="SELECT 2"))
    assert contract.load(contract.Assignment, path.read_bytes()).sql == "SELECT 2"
    assert os.listdir(directory / "1") == [contract.ASSIGNMENT_FILE]


async def test_an_earlier_attempt_cannot_lead_the_operator_astray(
    root: Path, volume: ExportsVolume, outside: Path
) -> None:
    """A worker may make what will be its successor's folder or assignment: the operator writes its own in
    their place."""
    directory = task_directory(root)
    directory.mkdir(parents=True)
    (directory / "2").symlink_to(outside)
    (directory / "3").write_text("no folder")
    (directory / "4").mkdir()
    (directory / "4" / contract.ASSIGNMENT_FILE).symlink_to(outside / "secret")
    (directory / "5" / contract.ASSIGNMENT_FILE / "folder").mkdir(parents=True)
    (directory / "6").mkdir()
    os.mkfifo(directory / "6" / contract.ASSIGNMENT_FILE)
    (directory / "7").mkdir()
    os.link(outside / "secret", directory / "7" / contract.ASSIGNMENT_FILE)
    for attempt in range(2, 8):
        await asyncio.wait_for(volume.prepare(NAMESPACE, UID, attempt, assignment(attempt=attempt)), 5)
        path = directory / str(attempt) / contract.ASSIGNMENT_FILE
        assert not path.is_symlink()
        assert contract.load(contract.Assignment, path.read_bytes()).attempt == attempt
