"""What the reconciler's memory of the history may spare, and when it must ask again."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.store import ExportRecord, Store, TaskRecord, open_history
from querytask.metrics import Metrics
from querytask.names import Phase, Reason
from querytask.runtime.journal import Ended, Journal
from querytask.runtime.recording import Step
from tests import builders as make


class Counting:
    """A real history that counts what it is asked, and can be made to refuse."""

    def __init__(self, store: Store) -> None:
        self.store, self.asked, self.refuses = store, list[str](), False

    def __getattr__(self, name: str) -> Any:
        async def ask(*parts: Any) -> Any:
            self.asked.append(name)
            if self.refuses:
                raise errors.StoreUnavailable("it is full", "Full")
            return await getattr(self.store, name)(*parts)

        return ask


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[Counting]:
    store = await open_history(tmp_path, lambda: make.NOW)
    yield Counting(store)
    await store.close()


@pytest.fixture
def journal(history: Any) -> Journal:
    return Journal(history, Metrics(), lambda: make.NOW)


def step(phase: Phase, reason: Reason, *, export: ExportRecord | None = None, **fields: Any) -> Step:
    ended = {"completed_at": make.NOW} if phase.terminal else {}
    task = TaskRecord(
        uid=make.UID,
        namespace=make.NAMESPACE,
        name=make.NAME,
        created_at=make.NOW,
        phase=phase,
        reason=reason,
        **(ended | fields),
    )
    return Step(task, None, export, (1, phase, reason))


QUEUED = step(Phase.QUEUED, Reason.WAITING_FOR_SLOT)
RUNNING = step(Phase.RUNNING, Reason.STARTED)
FAILED = step(Phase.FAILED, Reason.SQL_ERROR)


async def test_what_was_written_is_not_read_back(journal, history):
    """The answer to the write is what the history remembers; the same step again is no write."""
    assert await journal.record(RUNNING)
    assert await journal.record(RUNNING)
    memory = await journal.memory(make.UID)
    assert memory is not None
    assert (memory.phase, history.asked) == ("Running", ["record"])


async def test_what_another_wrote_before_is_read(journal, history):
    """Nothing is known of a task that this process has not written yet."""
    await journal.record(RUNNING)
    journal.forget(make.UID)
    memory = await journal.memory(make.UID)
    assert memory is not None
    assert (memory.phase, history.asked) == ("Running", ["record", "get"])


async def test_a_task_that_the_history_has_never_seen_is_remembered_as_nothing(journal):
    """Which is not the same as a history that cannot be read."""
    memory = await journal.memory(make.UID)
    assert memory is not None
    assert memory.phase is None


async def test_a_history_that_cannot_be_read_is_no_memory(journal, history):
    history.refuses = True
    assert await journal.memory(make.UID) is None


async def test_a_write_that_failed_is_forgotten_and_made_again(journal, history):
    """What the history then holds nobody can say: it may have been written all the same."""
    await journal.record(QUEUED)
    history.refuses = True
    assert not await journal.record(RUNNING)
    history.refuses = False
    memory = await journal.memory(make.UID)
    assert memory is not None
    assert memory.phase == "Queued"
    assert await journal.record(RUNNING)
    assert history.asked == ["record", "record", "get", "record"]


async def test_another_end_is_told_and_read(journal, history):
    """Somebody closed the row: the history keeps that end, and the next look sees it."""
    await journal.record(RUNNING)
    await history.store.close_deleted(make.UID, make.NOW)
    with pytest.raises(Ended, match="Deleted already"):
        await journal.record(FAILED)
    memory = await journal.memory(make.UID)
    assert memory is not None
    assert memory.phase == "Deleted"


async def test_a_deletion_is_noted_and_the_task_forgotten(journal, history):
    await journal.record(FAILED)
    await journal.object_deleted(make.UID)
    stored = await history.store.get(make.UID)
    assert stored is not None
    assert (stored.task.phase, stored.task.object_deleted_at) == ("Failed", make.NOW)
    await journal.memory(make.UID)
    assert history.asked == ["record", "close_deleted", "get"]


async def test_a_deletion_that_cannot_be_noted_stops_nobody(journal, history):
    await journal.record(FAILED)
    history.refuses = True
    await journal.object_deleted(make.UID)
    assert history.asked == ["record", "close_deleted"]


# what a step adds


def test_of_an_ended_task_only_what_may_change_is_news():
    """The history lets an end stand: telling it in other words would be a write for nothing."""
    later = step(Phase.FAILED, Reason.SQL_ERROR, execution_seconds=3.0)
    assert later.says_nothing_after(FAILED)
    assert not step(Phase.FAILED, Reason.SQL_ERROR, priority=3).says_nothing_after(FAILED)
    due = make.NOW + dt.timedelta(hours=1)
    assert not step(Phase.FAILED, Reason.SQL_ERROR, ttl_due_at=due).says_nothing_after(FAILED)
    assert not step(Phase.FAILED, Reason.SQL_ERROR, metadata={"a": "b"}).says_nothing_after(FAILED)
    assert not step(Phase.FAILED, Reason.SQL_ERROR, export=ExportRecord(attempt=1)).says_nothing_after(FAILED)


def test_of_a_living_task_every_difference_is_news():
    assert RUNNING.says_nothing_after(RUNNING)
    assert not step(Phase.RUNNING, Reason.STARTED, execution_seconds=3.0).says_nothing_after(RUNNING)
    assert not FAILED.says_nothing_after(RUNNING)
