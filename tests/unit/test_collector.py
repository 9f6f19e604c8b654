"""The collector with a real history and a real volume: what is gone afterwards, and who was told."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import ExportRecord, Store, TaskKey, TaskRecord, open_history
from querytask.core.collection import Rules
from querytask.core.collection_facts import LivingTask
from querytask.names import ExportState, Phase
from querytask.runtime.collector import Collector
from querytask_worker import contract
from tests.unit.exports.builders import NAMESPACE, age, at, manifest, outcome, put, task_directory, text

HOUR = 3600
DAY = 24 * HOUR


class World:
    """The cluster, the clock and the metrics, all set by hand."""

    def __init__(self) -> None:
        self.now = at(0)
        self.tasks: dict[str, LivingTask] | None = {}
        self.asked = 0
        self.told: list[str] = []
        self.refuse: set[str] = set()
        self.removals: list[tuple[str, int]] = []
        self.failures = 0

    async def living_tasks(self) -> Mapping[str, LivingTask] | None:
        self.asked += 1
        return self.tasks

    async def expired(self, key: TaskKey, moment: dt.datetime) -> None:
        if key.uid in self.refuse:
            raise errors.Unavailable("the API server did not answer")
        self.told.append(key.uid)

    def removed(self, kind: str, size: int) -> None:
        self.removals.append((str(kind), size))

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


@pytest.fixture
def collector(store: Store, volume: ExportsVolume, world: World) -> Collector:
    return Collector(
        store,
        volume,
        living_tasks=world.living_tasks,
        expired=world.expired,
        clock=lambda: world.now,
        rules=Rules(grace=dt.timedelta(hours=1), retention=dt.timedelta(days=7)),
        metrics=world,
        sweep_seconds=HOUR,
        batch=5,
    )


async def succeeded(
    store: Store, root: Path, uid: str = "uid-1", expires: float = HOUR, row: bool = True, **export
) -> Path:
    """A task that has published, as history and volume know it."""
    directory = task_directory(root, uid)
    put(directory / contract.MANIFEST_FILE, manifest(uid=uid, expires_at=text(expires)))
    put(directory / "1" / "late.parquet", b"x" * 8192)
    age(directory, at(0))
    if row:
        task = TaskRecord(
            uid=uid,
            namespace=NAMESPACE,
            name=f"task-{uid}",
            phase=Phase.SUCCEEDED,
            created_at=at(0),
            completed_at=at(0),
        )
        fields: dict[str, Any] = {"attempt": 1, "expires_at": at(expires)} | export
        await store.record(task, None, ExportRecord(**fields))
    return directory


async def failed(store: Store, root: Path, uid: str) -> Path:
    """A task that ended without a result, and left part of a file."""
    directory = task_directory(root, uid)
    put(directory / "1" / contract.OUTCOME_FILE, outcome())
    put(directory / "1" / "late.parquet.partial", b"x" * 4096)
    age(directory, at(0))
    await store.record(
        TaskRecord(
            uid=uid,
            namespace=NAMESPACE,
            name=uid,
            phase=Phase.FAILED,
            created_at=at(0),
            attempt=1,
            completed_at=at(0),
        )
    )
    return directory


async def state(store: Store, uid: str) -> str | None:
    stored = await store.get(uid)
    assert stored is not None
    return stored.export.state if stored.export else None


async def test_what_has_expired_goes_and_is_told(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """At its time and not before: the directory, then the object, then the history; and counted."""
    directory = await succeeded(store, root)
    await succeeded(store, root, "uid-2", expires=2 * HOUR)
    world.now = at(HOUR - 1)
    await collector.run_once()
    assert directory.exists()
    assert world.told == []

    world.now = at(HOUR)
    await collector.run_once()
    assert not directory.exists()
    assert task_directory(root, "uid-2").exists()
    assert world.told == ["uid-1"]
    assert await state(store, "uid-1") == ExportState.EXPIRED
    assert [kind for kind, _ in world.removals] == ["Expired"]
    assert world.removals[0][1] >= 8192

    await collector.run_once()
    assert world.told == ["uid-1"]
    assert len(world.removals) == 1


async def test_missing_files_are_no_error(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """Somebody has removed them by hand: object and history are told all the same, nothing is counted."""
    directory = await succeeded(store, root)
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    directory.rmdir()
    world.now = at(HOUR)
    await collector.run_once()
    assert world.told == ["uid-1"]
    assert await state(store, "uid-1") == ExportState.EXPIRED
    assert (world.removals, world.failures) == ([], 0)


async def test_a_preview_goes_without_a_word(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """Its directory expires; there was no export whose state could change."""
    directory = await succeeded(store, root, state=ExportState.NOT_APPLICABLE)
    world.now = at(HOUR)
    await collector.run_once()
    assert not directory.exists()
    assert world.told == []
    assert await state(store, "uid-1") == ExportState.NOT_APPLICABLE
    assert await store.due_exports(world.now) == []


async def test_what_could_not_be_told_is_told_later(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """The files are gone, the API server is away: the row stays due until the object has been told; others
    do not wait for it."""
    await succeeded(store, root)
    await succeeded(store, root, "uid-2")
    world.now, world.refuse = at(HOUR), {"uid-1"}
    await collector.run_once()
    assert not task_directory(root, "uid-1").exists()
    assert (await state(store, "uid-1"), await state(store, "uid-2")) == (
        ExportState.AVAILABLE,
        ExportState.EXPIRED,
    )
    assert world.failures == 1

    world.refuse = set()
    await collector.run_once()
    assert world.told == ["uid-2", "uid-1"]
    assert await state(store, "uid-1") == ExportState.EXPIRED


async def test_the_manifest_is_right(collector: Collector, store: Store, root: Path, world: World) -> None:
    """Where row and manifest differ, the manifest's time holds, in both directions, and the row learns it."""
    later = await succeeded(store, root, "later", expires=2 * HOUR)
    await store.correct_expiry("later", at(HOUR))
    sooner = await succeeded(store, root, "sooner", expires=HOUR)
    await store.correct_expiry("sooner", at(9 * HOUR))
    world.now = at(HOUR)
    await collector.run_once()
    assert later.exists()
    assert not sooner.exists()
    assert world.told == ["sooner"]
    world.now = at(2 * HOUR)
    await collector.run_once()
    assert not later.exists()
    assert world.told == ["sooner", "later"]


async def test_a_lost_history_keeps_results(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """A directory with a manifest is no orphan, however old, as long as its own time is not over."""
    directory = await succeeded(store, root, expires=30 * DAY, row=False)
    world.now = at(20 * DAY)
    await collector.run_once()
    assert directory.exists()
    world.now = at(30 * DAY)
    await collector.run_once()
    assert not directory.exists()


async def test_left_overs_go_after_their_grace(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """An orphan goes, a living task's directory does not; of a failed task the unfinished file goes at
    once, the rest later."""
    orphan = task_directory(root, "orphan")
    put(orphan / "1" / contract.ASSIGNMENT_FILE, b"{}")
    alive = task_directory(root, "alive")
    put(alive / "1" / "late.parquet.partial", b"x")
    for directory in (orphan, alive):
        age(directory, at(0))
    over = await failed(store, root, "over")
    world.tasks = {"alive": LivingTask(finished=False, attempt=1)}

    await collector.run_once()
    assert orphan.exists()
    assert sorted(path.name for path in (over / "1").iterdir()) == [contract.OUTCOME_FILE]
    world.now = at(HOUR)
    await collector.run_once()
    assert not orphan.exists()
    assert over.exists()
    world.now = at(0) + dt.timedelta(days=3650)
    await collector.run_once()
    assert not over.exists()
    assert (alive / "1" / "late.parquet.partial").exists()
    assert [kind for kind, _ in world.removals] == ["Partials", "Orphan", "Ended"]


async def test_while_the_cluster_cannot_be_asked(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """Nothing but what has expired goes; the rest waits for the API server."""
    expired = await succeeded(store, root)
    over = await failed(store, root, "over")
    orphan = task_directory(root, "orphan")
    put(orphan / "1" / contract.ASSIGNMENT_FILE, b"{}")
    age(orphan, at(0))
    world.now, world.tasks = at(0) + dt.timedelta(days=3650), None
    await collector.run_once()
    assert not expired.exists()
    assert (world.told, world.failures) == ([], 0)
    assert await state(store, "uid-1") == ExportState.AVAILABLE
    assert (over / "1" / "late.parquet.partial").exists()
    assert orphan.exists()

    world.tasks = {}
    await collector.run_once()
    assert world.told == ["uid-1"]
    assert await state(store, "uid-1") == ExportState.EXPIRED


async def test_an_end_that_is_not_written_down_yet_stays(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """The operator was away for longer than the retention: the manifest is all that tells how the task
    ended."""
    directory = await succeeded(store, root, row=False)
    await store.record(
        TaskRecord(uid="uid-1", namespace=NAMESPACE, name="a", phase=Phase.RUNNING, created_at=at(0))
    )
    world.now = at(DAY)
    world.tasks = {"uid-1": LivingTask(finished=False, attempt=1)}
    await collector.run_once()
    assert directory.exists()


async def test_the_cluster_is_asked_only_when_needed(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """Listing all tasks is dear: once in a run that looks through the volume or has something due, else
    never."""
    await collector.run_once()
    assert world.asked == 1
    world.now = at(60)
    await collector.run_once()
    assert world.asked == 1
    await succeeded(store, root, expires=120)
    await succeeded(store, root, "uid-2", expires=120)
    world.now = at(120)
    await collector.run_once()
    assert world.asked == 2


async def test_the_volume_is_looked_through_now_and_then(
    collector: Collector, root: Path, world: World
) -> None:
    """At the first run, then once in a while: a new left-over is found by the next look, not by every run."""
    await collector.run_once()
    orphan = task_directory(root, "orphan")
    put(orphan / "1" / contract.ASSIGNMENT_FILE, b"{}")
    age(orphan, at(-2 * HOUR))
    world.now = at(HOUR - 1)
    await collector.run_once()
    assert orphan.exists()
    world.now = at(HOUR)
    await collector.run_once()
    assert not orphan.exists()


async def test_one_failure_keeps_nothing_else(
    collector: Collector, store: Store, root: Path, world: World
) -> None:
    """More objects that cannot be told than one question answers: the rest is still removed in the same
    run."""
    stuck = {f"a-{number:03d}" for number in range(8)}
    others = [f"b-{number:03d}" for number in range(8)]
    await asyncio.gather(
        *[succeeded(store, root, uid) for uid in stuck],
        *[succeeded(store, root, uid, expires=HOUR + 1) for uid in others],
    )
    world.now, world.refuse = at(2 * HOUR), stuck
    await collector.run_once()
    assert sorted(world.told) == others
    assert world.failures == len(stuck)
    assert not list((root / NAMESPACE).iterdir())


async def test_no_history_no_removal(collector: Collector, store: Store, root: Path, world: World) -> None:
    """When the history cannot be asked, nobody is an orphan."""
    orphan = task_directory(root, "orphan")
    put(orphan / "1" / contract.ASSIGNMENT_FILE, b"{}")
    age(orphan, at(0))
    world.now = at(DAY)
    await store.close()
    with pytest.raises(errors.StoreUnavailable):
        await collector.run_once()
    assert orphan.exists()
