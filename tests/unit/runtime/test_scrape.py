"""What ``/metrics`` answers, from a real history and a real directory."""

from __future__ import annotations

import datetime as dt
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import TaskRecord, open_history
from querytask.metrics import Metrics
from querytask.runtime.cache import Key
from querytask.runtime.queue import WorkQueue
from querytask.runtime.scrape import Scrape
from querytask.runtime.slots import Rank, Slots
from tests import builders as make


def values(text: bytes) -> dict[str, float]:
    """Every sample by its name and its labels."""
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def scrape() -> tuple[Scrape, WorkQueue[Key]]:
    queue = WorkQueue[Key](lambda: 0.0)
    return Scrape(Metrics(), queue, make.NOW.timestamp), queue


async def test_before_the_history_is_open():
    """The queue is told from the start on, the rest is missing and not zero."""
    answers, queue = scrape()
    queue.add(Key("QueryTask", "n", "a"))
    found = values(await answers.exposition())
    assert found["querytask_queue_depth"] == 1
    assert not any(name.startswith(("querytask_tasks/", "querytask_volume")) for name in found)


async def test_everything(tmp_path):
    """Tasks and ages by phase, slots, queue and volumes, at this moment."""
    history, exports = tmp_path / "history", tmp_path / "exports"
    history.mkdir()
    exports.mkdir()
    store, volume = await open_history(history), ExportsVolume(exports)
    slots = Slots(2, lambda uid: None)
    slots.open()
    slots.hold("a")
    slots.hold("b")
    slots.request(Rank(0, 0, "c"))
    answers, _ = scrape()
    answers.watch(store, slots, volume, history)
    try:
        for number in range(3):
            since = make.ago(100 - number * 10)
            await store.record(task(f"uid-{number}", "Queued", since))
        found = values(await answers.exposition())
    finally:
        await store.close()
        volume.close()
    assert {phase: found[f"querytask_tasks/{phase}"] for phase in ("Queued", "Running")} == {
        "Queued": 3,
        "Running": 0,
    }
    assert found["querytask_oldest_task_age_seconds/Queued"] == 100
    assert found["querytask_oldest_task_age_seconds/Running"] == 0
    assert "querytask_oldest_task_age_seconds/Failed" not in found
    assert [found[f"querytask_slots/{state}"] for state in ("held", "waiting", "limit")] == [2, 1, 2]
    for name in ("exports", "history"):
        assert 0 < found[f"querytask_volume_free_bytes/{name}"] < found[f"querytask_volume_size_bytes/{name}"]


async def test_a_history_on_a_server_has_no_volume_and_no_files(tmp_path):
    """What nobody can say of it is left out, so that no alert takes it for zero."""
    store, volume = await open_history(tmp_path), ExportsVolume(tmp_path)
    answers, _ = scrape()
    answers.watch(store, Slots(2, lambda uid: None), volume, None)
    try:
        found = values(await answers.exposition())
    finally:
        await store.close()
        volume.close()
    assert found["querytask_tasks/Queued"] == 0
    assert found["querytask_volume_free_bytes/exports"] > 0
    for name in ("volume_free_bytes/history", "history_damaged_files", "history_backup_timestamp_seconds"):
        assert f"querytask_{name}" not in found


async def test_a_history_that_cannot_be_read_is_missing_and_counted(tmp_path):
    """The other figures are told all the same."""
    store, volume = await open_history(tmp_path), ExportsVolume(tmp_path)
    await store.close()
    answers, _ = scrape()
    answers.watch(store, Slots(1, lambda uid: None), volume, tmp_path)
    try:
        found = values(await answers.exposition())
    finally:
        volume.close()
    assert found["querytask_history_errors_total/phases"] == 1
    assert "querytask_tasks/Queued" not in found
    assert found["querytask_slots/limit"] == 1


def task(uid: str, phase: str, since: dt.datetime, **fields: Any) -> TaskRecord:
    return TaskRecord(
        uid=uid, namespace="n", name=uid, created_at=since, phase=phase, phase_since=since, **fields
    )
