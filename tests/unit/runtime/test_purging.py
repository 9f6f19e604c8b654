"""The purger with a real history and a real volume: what is gone afterwards, what was said, and what a
disturbance leaves."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import AsyncIterator, Container
from pathlib import Path
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import ExportRecord, Purged, Store, TaskRecord, open_history
from querytask.names import ExportState, Phase
from querytask.runtime.purging import PAUSE_SECONDS, Purger
from querytask_worker import contract
from tests.unit.exports.builders import NAMESPACE, age, at, manifest, put, task_directory, text

DAY = 86_400.0


class World:
    """The cluster, the clock and the metrics, all set by hand."""

    def __init__(self) -> None:
        self.now = at(0)
        self.living: Container[str] | None = frozenset()
        self.asked = 0
        self.counted = 0
        self.failures = 0
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def living_tasks(self) -> Container[str] | None:
        self.asked += 1
        return self.living

    def purged(self, tasks: int) -> None:
        self.counted += tasks

    def removal_failed(self) -> None:
        self.failures += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def store(tmp_path: Path, world: World) -> AsyncIterator[Store]:
    (tmp_path / "history").mkdir()
    store = await open_history(tmp_path / "history", lambda: world.now)
    yield store
    await store.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


@pytest.fixture
async def volume(root: Path) -> AsyncIterator[ExportsVolume]:
    volume = ExportsVolume(root)
    yield volume
    volume.close()


def purger_of(store: Any, volume: Any, world: World) -> Purger:
    return Purger(
        store,
        volume,
        living_tasks=world.living_tasks,
        clock=lambda: world.now,
        kept=dt.timedelta(days=1),
        unreadable=dt.timedelta(days=7),
        metrics=world,
        page=3,
        pause=world.pause,
    )


@pytest.fixture
def purger(store: Store, volume: ExportsVolume, world: World) -> Purger:
    return purger_of(store, volume, world)


async def ended(store: Store, uid: str, *, expires: float | None = None, gone: bool = True) -> None:
    """A task that ended at the beginning of time, and whose object is gone."""
    task = TaskRecord(
        uid=uid,
        namespace=NAMESPACE,
        name=f"task-{uid}",
        owner="data-team",
        phase=Phase.SUCCEEDED,
        created_at=at(0),
    )
    export = ExportRecord(attempt=1, expires_at=at(expires)) if expires is not None else None
    await store.record(task, None, export)
    if gone:
        await store.close_deleted(uid, at(0))


def files(root: Path, uid: str, expires: float | None = None) -> Path:
    """What a worker has left: a log, and a published file where there is an expiry."""
    directory = task_directory(root, uid)
    put(directory / "1" / contract.LOG_FILE, b"a line\n")
    if expires is not None:
        put(directory / contract.MANIFEST_FILE, manifest(uid=uid, expires_at=text(expires)))
    age(directory, at(0))
    return directory


async def test_what_is_due_goes_with_its_files_and_is_told(
    purger: Purger, store: Store, root: Path, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """At its time and not before: files, then the row; each is one line with owner, task and reason."""
    caplog.set_level(logging.INFO)
    for number in range(7):
        await ended(store, f"uid-{number}", expires=0)
        files(root, f"uid-{number}", expires=0)
    await ended(store, "living", gone=False)
    world.now = at(DAY - 1)
    assert await purger.run_once() == 0
    assert world.asked == 0
    world.now = at(DAY)
    assert await purger.run_once() == 7
    assert (world.counted, world.asked) == (7, 1)
    assert not any((root / NAMESPACE).iterdir())
    assert await store.get("uid-3") is None
    assert await store.get("living") is not None
    lines = [record.getMessage() for record in caplog.records if "Purged" in record.getMessage()]
    assert len(lines) == 7
    assert f"Purged {NAMESPACE}/task-uid-3 (uid-3, owner data-team): last changed at " in "".join(lines)
    assert await purger.run_once() == 0


async def test_a_result_that_was_promised_for_longer_stays(
    purger: Purger, store: Store, root: Path, world: World
) -> None:
    """Whoever promised it, the row or the manifest alone; where they differ the row is corrected."""
    await ended(store, "by-row", expires=3 * DAY)
    await ended(store, "by-manifest", expires=DAY)
    kept = files(root, "by-manifest", expires=2 * DAY)
    world.now = at(DAY)
    assert await purger.run_once() == 0
    assert (kept / contract.MANIFEST_FILE).exists()
    stored = await store.get("by-manifest")
    assert stored is not None
    assert stored.export is not None
    assert stored.export.expires_at == at(2 * DAY)
    world.now = at(2 * DAY)
    assert await purger.run_once() == 1
    assert not kept.exists()
    assert await store.get("by-row") is not None


async def test_an_object_that_lives_keeps_its_row(purger: Purger, store: Store, world: World) -> None:
    """The history said that it was gone; the cluster knows better."""
    await ended(store, "back")
    world.now, world.living = at(DAY), {"back"}
    assert await purger.run_once() == 0
    assert await store.get("back") is not None


async def test_nothing_goes_while_the_cluster_cannot_be_asked(
    purger: Purger, store: Store, root: Path, world: World
) -> None:
    """Neither files nor rows."""
    await ended(store, "uid-1")
    directory = files(root, "uid-1")
    world.now, world.living = at(DAY), None
    assert await purger.run_once() == 0
    assert directory.exists()
    assert await store.get("uid-1") is not None


class Broken:
    """A part of the operator of which one method fails once."""

    def __init__(self, whole: Any, method: str, error: Exception) -> None:
        self._whole, self._method, self._error = whole, method, error

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._whole, name)
        self._method = ""

        async def fail(*_: Any) -> Any:
            raise self._error

        return fail


async def test_files_that_cannot_be_removed_keep_their_row(
    store: Store, volume: ExportsVolume, root: Path, world: World
) -> None:
    """It is counted, the others go, and the next run makes it good."""
    for uid in ("uid-1", "uid-2"):
        await ended(store, uid)
        files(root, uid)
    world.now = at(DAY)
    broken = Broken(volume, "remove_task", errors.ExportsVolumeError("read-only", "ReadOnly"))
    purger = purger_of(store, broken, world)
    assert await purger.run_once() == 1
    assert world.failures == 1
    assert await purger.run_once() == 1


async def test_a_crash_between_files_and_row_converges(
    store: Store, volume: ExportsVolume, root: Path, world: World
) -> None:
    """The row comes up again, and that its files are gone is no matter."""
    await ended(store, "uid-1", expires=0)
    directory = files(root, "uid-1", expires=0)
    world.now = at(DAY)
    purger = purger_of(Broken(store, "purge", errors.StoreUnavailable("full", "Full")), volume, world)
    with pytest.raises(errors.StoreUnavailable):
        await purger.run_once()
    assert not directory.exists()
    assert await store.get("uid-1") is not None
    assert await purger.run_once() == 1
    assert await store.get("uid-1") is None


class Piecemeal:
    """A history that has time for one row at a call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def purge(self, uids: Any, now: dt.datetime, kept: dt.timedelta) -> Purged:
        self.calls += 1
        done = await self._store.purge(uids[:1], now, kept)
        return Purged(done.gone, tuple(uids[1:]), self.calls / 10)


async def test_what_there_was_no_time_for_is_asked_for_again(
    store: Store, volume: ExportsVolume, world: World
) -> None:
    """The writer is let go between two calls, and nothing is forgotten."""
    for number in range(5):
        await ended(store, f"uid-{number}")
    world.now = at(DAY)
    slow = Piecemeal(store)
    assert await purger_of(slow, volume, world).run_once() == 5
    assert (slow.calls, world.counted) == (5, 5)
    assert world.pauses == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


async def test_even_a_quick_call_is_followed_by_a_pause(purger: Purger, store: Store, world: World) -> None:
    """Another process that writes gets its turn."""
    await ended(store, "uid-1")
    world.now = at(DAY)
    await purger.run_once()
    assert world.pauses == [PAUSE_SECONDS]


async def test_a_removed_export_holds_nobody(purger: Purger, store: Store, world: World) -> None:
    """Its files are gone, whatever its expiry says."""
    await ended(store, "uid-1", expires=9 * DAY)
    await store.mark_export("uid-1", ExportState.DELETED, at(5))
    world.now = at(DAY)
    assert await purger.run_once() == 1
