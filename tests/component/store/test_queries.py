"""The questions that are asked of the history, and that each is answered through an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from querytask.adapters.store import PhaseFigures, Store, TaskKey, queries
from querytask.core.collection_facts import TaskState
from querytask.names import DELETED, ExportState, Phase
from tests.component.store.builders import Clock, at, export, step, task
from tests.component.store.databases import Database, Plans


def key(uid: str, name: str | None = None) -> TaskKey:
    return TaskKey("analytics", name or f"task-{uid}", uid)


async def test_nothing_is_known_of_nobody(history: Store) -> None:
    """A uid without a row is no error."""
    assert await history.get("nobody") is None
    assert await history.transitions("nobody") == []
    assert await history.states(["nobody"]) == {}
    assert await history.next_ttl() is None
    assert await history.phases() == {}
    await history.mark_export("nobody", ExportState.EXPIRED, at(0))
    await history.correct_expiry("nobody", at(0))


async def test_open_tasks_are_those_without_an_end(history: Store) -> None:
    """Of this namespace, unfinished, object not known to be deleted."""
    await history.record(task("a"))
    await history.record(task("b", phase=Phase.RUNNING))
    await history.record(task("c", phase=Phase.SUCCEEDED))
    await history.record(task("d", namespace="other"))
    await history.record(task("e"))
    await history.close_deleted("e", at(1))
    assert await history.open_tasks("analytics") == [key("a"), key("b")]


async def test_a_name_can_stand_for_several_objects(history: Store) -> None:
    """An object that was deleted and made anew unseen leaves an open row behind, the oldest comes first."""
    await history.record(task("new", name="same", created_at=at(9)))
    await history.record(task("old", name="same", created_at=at(1)))
    await history.record(task("done", name="same", phase=Phase.FAILED))
    assert await history.find_open("analytics", "same") == ["old", "new"]
    assert await history.find_open("other", "same") == []


async def test_present_tasks_come_in_pages(history: Store) -> None:
    """Every task whose object may be there, finished or not, each once."""
    for uid in "edcba":
        await history.record(task(uid, phase=Phase.SUCCEEDED if uid < "c" else Phase.QUEUED))
    await history.close_deleted("b", at(1))
    first = await history.present_tasks("analytics", limit=2)
    rest = await history.present_tasks("analytics", first[-1].uid, limit=10)
    assert [item.uid for item in first + rest] == ["a", "c", "d", "e"]


async def test_states_tell_what_the_collector_asks(history: Store) -> None:
    """In as many parts as it takes."""
    await history.record(task("a", phase=Phase.RUNNING, attempt=2))
    await history.record(task("b", phase=Phase.SUCCEEDED, attempt=1, completed_at=at(5)), None, export())
    found = await history.states(["a", "b", *(f"nobody-{number}" for number in range(queries.AT_ONCE))])
    assert found == {
        "a": TaskState(Phase.RUNNING, 2, None),
        "b": TaskState(Phase.SUCCEEDED, 1, at(5), ExportState.AVAILABLE, at(3600)),
    }


async def test_exports_are_due_once(history: Store) -> None:
    """Those of finished tasks whose time is over, the earliest first, until their files are gone."""
    done = {"phase": Phase.SUCCEEDED}
    await history.record(task("late", **done), None, export(expires_at=at(20)))
    await history.record(task("early", **done), None, export(expires_at=at(10)))
    await history.record(task("later", **done), None, export(expires_at=at(30)))
    await history.record(task("preview", **done), None, export(state="NotApplicable", expires_at=at(15)))
    await history.record(task("running", phase=Phase.RUNNING), None, export(expires_at=at(1)))
    due = await history.due_exports(at(20))
    assert [(item.key, item.expires_at) for item in due] == [
        (key("early"), at(10)),
        (key("preview"), at(15)),
        (key("late"), at(20)),
    ]
    assert await history.due_exports(at(20), limit=1) == due[:1]

    await history.mark_export("early", ExportState.EXPIRED, at(21))
    await history.mark_export("preview", ExportState.EXPIRED, at(21))
    await history.correct_expiry("late", at(40))
    assert await history.due_exports(at(30)) == [
        item for item in await history.due_exports(at(30)) if item.key == key("later")
    ]
    states = await history.states(["early", "preview", "late"])
    assert {uid: state.export_state for uid, state in states.items()} == {
        "early": ExportState.EXPIRED,
        "preview": ExportState.NOT_APPLICABLE,
        "late": ExportState.AVAILABLE,
    }


async def test_ttl_comes_due_while_the_object_is_there(history: Store) -> None:
    """The earliest first; an object that is gone is no more to be deleted."""
    for uid, due in (("a", 30), ("b", 10), ("c", 20)):
        await history.record(task(uid, phase=Phase.FAILED, ttl_due_at=at(due)))
    await history.record(task("never", phase=Phase.FAILED))
    assert await history.next_ttl() == at(10)
    assert await history.ttl_due(at(20)) == [key("b"), key("c")]
    await history.close_deleted("b", at(21))
    assert await history.ttl_due(at(20)) == [key("c")]
    assert await history.next_ttl() == at(20)


async def test_phases_count_the_objects_that_are_there(history: Store, clock: Clock) -> None:
    """By phase, with the time since when the oldest is in it."""
    for uid, seconds in (("a", 5), ("b", 3), ("c", 4)):
        clock.now = at(seconds)
        await history.record(task(uid, phase=Phase.CANCELLING if uid == "c" else Phase.QUEUED))
    await history.record(task("gone", phase=Phase.QUEUED))
    await history.close_deleted("gone", at(9))
    assert await history.phases() == {
        Phase.QUEUED: PhaseFigures(2, at(3)),
        Phase.CANCELLING: PhaseFigures(1, at(4)),
    }
    assert DELETED not in await history.phases()


async def test_transitions_come_in_their_order(history: Store) -> None:
    """``id`` grows from step to step, over all tasks."""
    await history.record(task("a"), None, None, [step(), step(Phase.RUNNING, "Started", at=at(-5))])
    await history.record(task("b"), None, None, [step()])
    told = await history.transitions("a") + await history.transitions("b")
    assert [item.phase for item in told] == [Phase.QUEUED, Phase.RUNNING, Phase.QUEUED]
    assert sorted(item.id or 0 for item in told) == [item.id for item in told]


QUESTIONS: dict[str, Callable[[sa.Connection], Any]] = {
    "task": lambda c: queries.task(c, "uid-1"),
    "export": lambda c: queries.export(c, "uid-1"),
    "transitions": lambda c: queries.steps(c, "uid-1"),
    "open_tasks": lambda c: queries.open_tasks(c, "analytics"),
    "find_open": lambda c: queries.find_open(c, "analytics", "task-1"),
    "present_tasks": lambda c: queries.present_tasks(c, "analytics", "uid-1", 100),
    "states": lambda c: queries.states(c, ["uid-1", "uid-2"]),
    "due_exports": lambda c: queries.due_exports(c, at(0), 100),
    "ttl_due": lambda c: queries.ttl_due(c, at(0), 100),
    "next_ttl": queries.next_ttl,
    "phases": queries.phases,
    "latest": lambda c: queries.latest(c, "analytics", "task-1"),
    "transitions_after": lambda c: queries.transitions_after(c, "analytics", 1, 100),
    "last_transition": queries.last_transition,
    "figures": lambda c: queries.figures(c, "analytics"),
}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("dialect", ["sqlite"])  # the other planner is asked in ``test_postgresql_plans``
async def test_no_question_reads_a_whole_table(history: Store, database: Database, name: str) -> None:
    """The planner searches an index, or walks the one that was made for the question; nothing is sorted
    that could grow."""
    await history.record(task("uid-1", phase=Phase.SUCCEEDED), None, export())
    engine = database.reading()
    with engine.connect() as connection, connection.begin():
        asked = Plans(connection)
        QUESTIONS[name](connection)
        plans = asked.plans()
    engine.dispose()
    assert plans
    whole = [line for line in plans if not line.startswith("SEARCH")]
    allowed = {
        "phases": ["SCAN tasks USING COVERING INDEX ix_tasks_phase"],
        "transitions": ["USE TEMP B-TREE FOR ORDER BY"],  # of the few steps of a task
        "find_open": ["USE TEMP B-TREE FOR ORDER BY"],  # of the few rows that share a name
    }
    assert whole == allowed.get(name, [])
