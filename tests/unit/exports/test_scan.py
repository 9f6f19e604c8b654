"""What the collector is told of the volume."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from querytask.adapters.exports import ExportsVolume, scan
from querytask.adapters.exports import volume as volumes
from querytask.core.collection_facts import AttemptFacts, DirectoryFacts, ManifestFacts
from querytask_worker import contract
from tests.unit.exports.builders import NAMESPACE, UID, age, at, manifest, outcome, put, task_directory


async def test_a_directory_is_told(root: Path, volume: ExportsVolume) -> None:
    """Manifest, attempts with their partial files, and when anything in them last changed."""
    directory = task_directory(root)
    put(directory / contract.MANIFEST_FILE, manifest(attempt=2))
    put(directory / "2" / "late.parquet", b"x")
    put(directory / "1" / "a.partial", b"x")
    put(directory / "1" / "b.partial", b"x")
    age(directory, at(0))
    os.utime(directory / "1" / "b.partial", (at(60).timestamp(),) * 2)
    assert await volume.directory(NAMESPACE, UID) == DirectoryFacts(
        namespace=NAMESPACE,
        uid=UID,
        manifest=ManifestFacts(2, at(3600)),
        attempts=(AttemptFacts(1, 2, at(60)), AttemptFacts(2, 0, at(0))),
        newest=at(60),
    )
    assert [found async for found in volume.scan()] == [[await volume.directory(NAMESPACE, UID)]]


async def test_a_manifest_that_cannot_be_read_is_one(root: Path, volume: ExportsVolume) -> None:
    """It is told as there and unreadable, so that nobody takes its directory for an orphan."""
    put(task_directory(root) / contract.MANIFEST_FILE, b"{")
    found = await volume.directory(NAMESPACE, UID)
    assert found is not None
    assert found.manifest == ManifestFacts(None, None)


async def test_only_tasks_are_told(root: Path, volume: ExportsVolume, outside: Path) -> None:
    """Files, links, odd names, ``lost+found`` and the trash are nobody's to collect."""
    put(task_directory(root) / "1" / contract.OUTCOME_FILE, outcome())
    put(root / "lost+found" / "#123" / "file", b"x")
    put(root / ".trash" / "thrown-away" / "file", b"x")
    put(root / "README", b"x")
    put(root / NAMESPACE / "README", b"x")
    put(root / NAMESPACE / "name\nwith newline" / "file", b"x")
    (root / "linked").symlink_to(outside)
    (root / NAMESPACE / "linked").symlink_to(outside)
    found = [directory.uid async for some in volume.scan() for directory in some]
    assert found == [UID]


async def test_a_hostile_directory_is_told_like_any(root: Path, volume: ExportsVolume, outside: Path) -> None:
    """Odd entries count for their age alone; nothing is opened, followed or waited for."""
    directory = task_directory(root)
    (directory / "1").mkdir(parents=True)
    os.mkfifo(directory / "1" / "pipe.partial")
    (directory / "1" / "link").symlink_to(outside / "secret")
    (directory / "2").symlink_to(outside)
    (directory / "03").mkdir()
    (directory / "99999").mkdir()
    (directory / "one\nmore").mkdir()
    found = await volume.directory(NAMESPACE, UID)
    assert found is not None
    assert [(attempt.number, attempt.partials) for attempt in found.attempts] == [(1, 1)]


async def test_no_writer_can_look_younger_than_it_is(root: Path, volume: ExportsVolume) -> None:
    """A file's time can be set to any; then the time of that change counts, which cannot."""
    directory = task_directory(root)
    put(directory / "1" / "file", b"x")
    age(directory, at(10 * 365 * 86400))
    found = await volume.directory(NAMESPACE, UID)
    assert found is not None
    now = (directory / "1" / "file").stat().st_ctime
    assert abs(found.newest.timestamp() - now) < 60


async def test_many_directories_come_in_parts(root: Path, volume: ExportsVolume) -> None:
    """Each once, some at a time, however many there are; giving up in the middle is no matter."""
    uids = {f"uid-{number}" for number in range(volumes.AT_ONCE * 2 + 5)}
    for uid in uids:
        task_directory(root, uid).mkdir(parents=True)
    parts = [[directory.uid for directory in part] async for part in volume.scan()]
    assert [len(part) for part in parts] == [volumes.AT_ONCE, volumes.AT_ONCE, 5]
    assert {uid for part in parts for uid in part} == uids
    async for _ in volume.scan():
        break


async def test_nothing_is_told_of_nothing(volume: ExportsVolume) -> None:
    """An empty volume, a task without a directory."""
    assert [part async for part in volume.scan()] == []
    assert await volume.directory(NAMESPACE, UID) is None


async def test_giving_up_while_a_thread_looks(
    root: Path, volume: ExportsVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is cancelled waits for the thread and is told nothing but that: the operator ends like this."""
    task_directory(root).mkdir(parents=True)
    looks, goes_on = threading.Event(), threading.Event()
    look = scan.directory

    def slow(_: Path, *place: str) -> DirectoryFacts | None:
        looks.set()
        goes_on.wait(20)
        return look(root, *place)

    monkeypatch.setattr(scan, "directory", slow)
    looking = asyncio.ensure_future(anext(volume.scan()))
    await asyncio.to_thread(looks.wait, 20)
    looking.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await looking
