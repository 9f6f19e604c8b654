"""Rows of tasks whose object is gone."""

from __future__ import annotations

from querytask.adapters.store import Ending, Store
from querytask.names import DELETED, Phase
from tests.component.store.builders import at, attempt, export, result, step, task


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


async def test_an_object_that_is_there_again_opens_its_row(history: Store) -> None:
    """``Deleted`` was no end that the task had reached: it goes on from the step before, and can end."""
    told = [step(), step(Phase.RUNNING, "Started", at=at(2))]
    await history.record(task(phase=Phase.RUNNING, attempt=1, started_at=at(2)), attempt(), None, told)
    await history.close_deleted("uid-1", at(9))
    opened = await history.reopen("uid-1", at(20))
    assert opened is not None
    assert (opened.task.phase, opened.task.reason, opened.task.phase_since) == ("Running", "Started", at(20))
    assert (opened.task.completed_at, opened.task.object_deleted_at) == (None, None)
    assert opened.task.started_at == at(2)
    assert await history.get("uid-1") == opened
    assert await history.reopen("uid-1", at(30)) == opened
    ended = await history.record(task(phase=Phase.SUCCEEDED, attempt=1, completed_at=at(25)))
    assert (ended.task.phase, ended.task.completed_at) == (Phase.SUCCEEDED, at(25))


async def test_an_end_stays_though_the_object_is_there_again(history: Store) -> None:
    """The result is there, and nothing runs twice."""
    before = await history.record(task(phase=Phase.FAILED, reason="SqlError", completed_at=at(5)))
    await history.close_deleted("uid-1", at(9))
    opened = await history.reopen("uid-1", at(20))
    assert opened is not None
    assert opened.task == before.task


async def test_a_task_without_a_step_is_queued_again(history: Store) -> None:
    """And one without a row stays without."""
    await history.record(task(phase=Phase.QUEUED))
    await history.close_deleted("uid-1", at(9))
    opened = await history.reopen("uid-1", at(20))
    assert opened is not None
    assert opened.task.phase == Phase.QUEUED
    assert await history.reopen("nobody", at(20)) is None
