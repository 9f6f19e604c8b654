"""Rows of tasks whose object is gone."""

from __future__ import annotations

from querytask.adapters.store import Ending, Store
from querytask.names import DELETED, Phase
from tests.unit.store.builders import at, attempt, export, result, task


async def test_an_unfinished_task_becomes_deleted(history: Store) -> None:
    """Nobody knows an end of it: its row is closed as ``Deleted``, once, with the time of the deletion."""
    await history.record(task(phase=Phase.RUNNING, attempt=1, started_at=at(1)), attempt())
    stored = await history.close_deleted("uid-1", at(9))
    assert stored is not None
    assert (stored.task.phase, stored.task.completed_at) == (DELETED, at(9))
    assert stored.task.object_deleted_at == at(9)
    assert await history.close_deleted("uid-1", at(10)) == stored
    assert [(item.phase, item.at) for item in await history.transitions("uid-1")] == [(DELETED, at(9))]


async def test_the_mailbox_may_tell_the_end(history: Store) -> None:
    """An end that the worker had written before its object went is the row's end."""
    await history.record(task(phase=Phase.RUNNING, attempt=1))
    ending = Ending(
        phase=Phase.SUCCEEDED,
        reason="Completed",
        message="2 rows",
        completed_at=at(5),
        result=result(),
        attempt=attempt(finished_at=at(5)),
        export=export(),
        source="mailbox",
    )
    stored = await history.close_deleted("uid-1", at(9), ending)
    assert stored is not None
    assert (stored.task.phase, stored.task.completed_at) == (Phase.SUCCEEDED, at(5))
    assert stored.task.object_deleted_at == at(9)
    assert stored.task.result == result()
    assert stored.attempts == (attempt(finished_at=at(5)),)
    assert stored.export == export()
    assert await history.get("uid-1") == stored


async def test_a_finished_task_keeps_its_end(history: Store) -> None:
    """Deleting the object of a finished task is noted, and changes nothing else; it is no step of it."""
    before = await history.record(task(phase=Phase.FAILED, reason="SqlError", completed_at=at(5)))
    stored = await history.close_deleted("uid-1", at(9))
    assert stored is not None
    assert stored.task.phase == Phase.FAILED
    assert stored.task.completed_at == before.task.completed_at
    assert stored.task.object_deleted_at == at(9)
    assert await history.transitions("uid-1") == []


async def test_a_task_without_a_row_is_none(history: Store) -> None:
    """There is nothing to close."""
    assert await history.close_deleted("nobody", at(9)) is None
