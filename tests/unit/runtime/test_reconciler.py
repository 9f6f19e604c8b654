"""One reconcile: a history that refuses, a cache that lags behind, an object that took another's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from querytask import names
from querytask.runtime.applier import Stale
from querytask.runtime.reconciler import RETRY_HISTORY
from querytask_worker import contract
from querytask_worker.contract import ExitCode
from tests import builders as make
from tests.unit.runtime.plane import KEY, Plane
from tests.unit.runtime.plane import plane as opened

OTHER = "0b1d3c52-8f43-4b8e-9d0a-1f6f5a9f1c22"


@pytest.fixture
async def plane(tmp_path: Path):
    async for found in opened(tmp_path):
        yield found


async def started(plane: Plane, **spec: Any) -> None:
    """A task whose worker runs."""
    plane.create(**spec)
    await plane.look()
    plane.runs()
    await plane.look()


def leaves(plane: Plane, folder: Path, name: str, message: Any) -> None:
    """The worker writes a file of its mailbox."""
    (folder / "exports" / make.NAMESPACE / make.UID / name).write_bytes(contract.dump(message))


async def test_a_task_from_beginning_to_end(plane, tmp_path):
    """Slot, row, assignment, pod, Running, Succeeded, and nothing kept in memory."""
    await started(plane, export={})
    assert plane.status["phase"] == "Running"
    assert (tmp_path / "exports" / make.NAMESPACE / make.UID / "1/_assignment.json").exists()
    leaves(plane, tmp_path, "_manifest.json", make.manifest())
    plane.ends()
    await plane.look()
    row = await plane.history.get(make.UID)
    assert (plane.status["phase"], row.task.phase, row.export.rows) == ("Succeeded", "Succeeded", 1)
    assert plane.api.pods == {}, "it was recorded, and is not kept"
    assert plane.slots.held == 0
    assert plane.api.events == ["PodPending", "Started", "Completed"]


# a history that refuses


async def test_nothing_starts_on_a_history_that_cannot_be_read(plane):
    """Nor is an attempt shown: without its pod it would be taken for lost."""
    plane.create(retry={"limit": 0})
    plane.history.unreadable = True
    assert await plane.look() == RETRY_HISTORY
    assert plane.api.pods == {}
    assert (plane.status["reason"], plane.status.get("attempt")) == ("WaitingForSlot", None)
    recorded = {item["type"]: item["status"] for item in plane.status["conditions"]}["Recorded"]
    assert recorded == "False"
    plane.history.unreadable = False
    await plane.look()
    assert (plane.status["reason"], plane.status["attempt"]) == ("PodPending", 1)
    assert list(plane.api.pods) == [names.pod_name(make.UID, 1)]


async def test_nothing_starts_on_a_history_that_cannot_be_written(plane):
    """It says so, once, and goes on when it can."""
    plane.create()
    plane.history.unwritable = True
    await plane.look()
    version = plane.api.version
    plane.now = make.later(5)
    await plane.look()
    assert plane.api.version == version, "the second look has nothing new to say"
    assert plane.api.pods == {}
    plane.history.unwritable = False
    await plane.look()
    assert plane.status["reason"] == "PodPending"


async def test_an_end_that_the_history_missed_is_recorded_later_in_full(plane, tmp_path):
    """Status at once; row, attempt and export when it can be written; the pod stays until then."""
    await started(plane, export={})
    plane.history.unwritable = True
    leaves(plane, tmp_path, "_manifest.json", make.manifest())
    plane.ends()
    await plane.look()
    assert plane.status["phase"] == "Succeeded"
    assert plane.api.pods != {}
    plane.history.unwritable = False
    await plane.look()
    row = await plane.history.get(make.UID)
    assert (row.task.phase, row.task.result.rows, row.export.state) == ("Succeeded", 1, "Available")
    assert (row.attempts[0].reason, row.attempts[0].finished_at) == ("Completed", make.ago(2))
    assert plane.api.pods == {}


async def test_an_attempt_that_was_lost_while_the_history_refused_is_followed_by_another(plane):
    """Its end is recorded first, however late."""
    await started(plane, retry={"limit": 1, "backoff": "10s"})
    plane.history.unwritable = True
    plane.ends(code=137)
    await plane.look()
    assert plane.status["reason"] == "BackingOff"
    plane.now = make.later(100)
    await plane.look()
    assert plane.status["reason"] == "BackingOff", "nothing starts"
    plane.history.unwritable = False
    await plane.look()
    row = await plane.history.get(make.UID)
    assert (row.attempts[0].reason, row.attempts[0].finished_at) == ("WorkerLost", make.ago(2))
    await plane.look()
    assert plane.status["attempt"] == 2
    assert names.pod_name(make.UID, 2) in plane.api.pods


# an object that took another's name


async def test_every_row_is_closed_though_its_name_was_taken(plane):
    """While the pod of the deleted task still ends, the new one of its name has a status already."""
    await started(plane)
    plane.delete()
    plane.create(uid=OTHER)
    assert await plane.look() is not None, "the old pod is still there"
    assert plane.status["phase"] == "Queued"
    plane.api.pods.pop(names.pod_name(make.UID, 1), None)
    plane.cache.drop_pod(make.raw_pod(metadata={"resourceVersion": "9999"}))
    await plane.look()
    old, new = await plane.history.get(make.UID), await plane.history.get(OTHER)
    assert old.task.phase == names.DELETED
    assert new.task.completed_at is None


async def test_a_stale_cache_closes_nobodys_row(plane):
    """What the cache has under a name may be the older object: the API server is asked first."""
    await started(plane)
    old = make.raw_task(metadata={"uid": OTHER, "resourceVersion": "5"})
    plane.cache.put_task(old)
    with pytest.raises(Stale):
        await plane.reconciler.reconcile(KEY)
    await plane.look()
    row = await plane.history.get(make.UID)
    assert (row.task.phase, plane.status["phase"]) == ("Running", "Running")
    assert names.pod_name(make.UID, 1) in plane.api.pods


async def test_a_deleted_task_that_had_ended_is_closed_with_its_end(plane, tmp_path):
    """The mailbox tells."""
    await started(plane)
    folder = tmp_path / "exports" / make.NAMESPACE / make.UID / "1"
    (folder / "_outcome.json").write_bytes(contract.dump(make.outcome(ExitCode.SQL_ERROR)))
    plane.delete()
    plane.vanishes()
    assert await plane.look() is None
    row = await plane.history.get(make.UID)
    assert (row.task.phase, row.task.reason) == ("Failed", "SqlError")
    assert plane.slots.held == 0


# a source that goes


async def test_the_worker_of_a_deleted_task_is_not_lost(plane):
    """The garbage collector took the pod, and the event of the task's own deletion is still on its way."""
    await started(plane)
    plane.api.tasks.pop(make.NAME)
    plane.vanishes()
    await plane.look()
    row = await plane.history.get(make.UID)
    assert (row.task.phase, row.attempts[0].reason) == ("Deleted", None)
    steps = await plane.history.transitions(make.UID)
    assert [step.reason for step in steps if step.reason] == ["PodPending", "Started"]


async def test_a_source_that_goes_between_slot_and_pod(plane):
    """It is a refusal like a quota's: shown, tried again, and an end after the start deadline."""
    plane.create(sources=["flights"])
    plane.cache.put_source(make.raw_source())
    plane.cache.put_claim({"metadata": {"name": "lake", "uid": "c", "resourceVersion": "1"}})
    get = plane.api.get_task

    async def and_it_goes(name: str) -> Any:
        plane.cache.drop_source("flights")
        return await get(name)

    plane.api.get_task = and_it_goes
    await plane.look()
    assert (plane.status["phase"], plane.status["reason"]) == ("Queued", "SourceNotFound")
    assert plane.api.pods == {}
    plane.now = make.later(301)
    await plane.look()
    assert (plane.status["phase"], plane.status["reason"]) == ("Failed", "SourceNotFound")


async def test_a_pod_of_anybody_else_is_none_of_the_tasks(plane):
    """Whoever may make pods may write any owner and any label: only the name is the operator's."""
    plane.create()
    forged = make.raw_pod(99, metadata={"name": "forged", "uid": "forged"})
    plane.cache.put_pod(forged)
    await plane.look()
    assert plane.status["attempt"] == 1
