"""What the history forgets: who is found, who goes, and what goes with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from querytask.adapters.store import Store, columns, purge, schema
from querytask.adapters.store.purge import BUDGET_SECONDS
from querytask.names import Phase
from tests.component.store.builders import T0, Clock, at, attempt, export, result, step, task
from tests.component.store.databases import Database

DAY = dt.timedelta(days=1)
TABLES = (schema.tasks, schema.attempts, schema.transitions, schema.exports, schema.results, schema.queries)


async def ended(history: Store, uid: str, *, expires: float | None = None, **fields: Any) -> None:
    """A task that has its end, everything that hangs on one, and no object."""
    told = export(expires_at=at(expires)) if expires is not None else None
    record = task(uid, phase=Phase.SUCCEEDED, result=result(), **fields)
    await history.record(record, attempt(), told, [step(), step(Phase.SUCCEEDED, "Completed")])
    await history.close_deleted(uid, at(0))


def count(database: Database) -> dict[str, int]:
    """The rows of each table."""
    engine = database.reading()
    with engine.connect() as connection:
        found = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in TABLES
        }
    engine.dispose()
    return found


async def found(history: Store, until: float = 0, limit: int = 100) -> list[str]:
    return [item.uid for item in await history.kept_since(at(until), None, limit)]


async def purged(history: Store, *uids: str, now: dt.datetime = T0 + DAY) -> list[str]:
    """Who goes, however many calls it takes: one is bounded by its time, which a busy machine may use up."""
    gone: list[str] = []
    left: tuple[str, ...] = uids
    while left:
        answer = await history.purge(left, now, DAY)
        gone, left = [*gone, *answer.gone], answer.left
    return gone


async def test_who_is_found(history: Store, clock: Clock) -> None:
    """Finished tasks whose objects are gone, the oldest first, page after page; whether their time has come
    is decided elsewhere."""
    await ended(history, "b")
    await ended(history, "a")
    clock.now = at(10)
    await ended(history, "c", expires=3600)
    await history.record(task("living", phase=Phase.FAILED))
    await history.record(task("open"))
    clock.now = at(99)
    await ended(history, "young")
    assert await found(history, until=10) == ["a", "b", "c"]
    first = await history.kept_since(at(10), None, 2)
    rest = await history.kept_since(at(10), first[-1], 2)
    assert [item.uid for item in first + rest] == ["a", "b", "c"]
    assert (rest[0].name, rest[0].expires_at, rest[0].removed_at) == ("task-c", at(3600), None)
    assert await history.kept_since(at(10), rest[-1], 2) == []


async def test_everything_of_a_task_goes(history: Store, database: Database) -> None:
    """Attempts, steps, export, result; its SQL text only with the last task that has it."""
    await ended(history, "one", expires=0, sql="SELECT 'mine'")
    await ended(history, "two", sql="SELECT 'shared'")
    await ended(history, "three", sql="SELECT 'shared'")
    assert await purged(history, "one", "two") == ["one", "two"]
    assert count(database) == {
        "tasks": 1,
        "attempts": 1,
        "transitions": 2,
        "exports": 0,
        "results": 1,
        "queries": 1,
    }
    assert await history.get("one") is None
    assert (await history.purge(["three"], at(0) + DAY, DAY)).gone == ("three",)
    assert set(count(database).values()) == {0}
    await history.integrity_check()


async def test_it_is_asked_again_in_the_transaction(history: Store, clock: Clock) -> None:
    """What has changed since it was found stays: touched, an export with time left, an object."""
    for uid in ("touched", "promised", "gone"):
        await ended(history, uid)
    await history.record(task("living", phase=Phase.FAILED))
    assert await found(history) == ["gone", "promised", "touched"]
    clock.now = at(0) + DAY
    await history.record(task("touched", phase=Phase.SUCCEEDED, priority=5))
    await history.record(task("promised", phase=Phase.SUCCEEDED), None, export(expires_at=at(0) + 2 * DAY))
    uids = ["touched", "promised", "living", "nobody", "gone"]
    assert await purged(history, *uids, now=clock.now) == ["gone"]
    for uid in ("touched", "promised", "living"):
        assert await history.get(uid) is not None


async def test_files_that_are_gone_hold_nobody(history: Store) -> None:
    """An export that was removed before its time has no time left."""
    await ended(history, "uid-1", expires=10 * DAY.total_seconds())
    assert (await history.purge(["uid-1"], at(0) + DAY, DAY)).gone == ()
    await history.mark_export("uid-1", "Deleted", at(5))
    assert (await history.purge(["uid-1"], at(0) + DAY, DAY)).gone == ("uid-1",)


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by ``seconds`` each time that it is asked."""
    now = [0.0]

    def clock() -> float:
        now[0] += seconds
        return now[0]

    return clock


@pytest.mark.parametrize(
    ("tick", "done"),
    [(0.0, 10), (BUDGET_SECONDS / 3.5, 4), (BUDGET_SECONDS, 1), (10.0, 1)],
    ids=["fast", "slow", "one fills it", "never less than one"],
)
async def test_a_call_is_bounded_by_its_time(
    history: Store, database: Database, tick: float, done: int
) -> None:
    """However many there are: as many as the budget allows, one at least, and the rest is handed back."""
    uids = [f"uid-{number}" for number in range(10)]
    for uid in uids:
        await ended(history, uid)
    engine = database.writing()
    with engine.connect() as connection, connection.begin():
        purged = purge.purge(connection, uids, at(0) + DAY, DAY, ticking(tick))
    assert purged.gone == tuple(uids[:done])
    assert purged.left == tuple(uids[done:])


@pytest.mark.parametrize("dialect", ["sqlite"])  # the other planner is asked in ``test_postgresql_plans``
@pytest.mark.parametrize("question", [purge.CANDIDATES, purge.OF_TEXT], ids=["candidates", "text"])
def test_questions_are_answered_by_an_index(database: Database, question: sa.Select[Any]) -> None:
    """The planner searches the index that was made for the question, and sorts nothing."""
    values = {"until": at(0), "after_time": at(0), "after_uid": "", "most": 5, "hash": "x"}
    names = question.compile().params
    engine = database.reading()
    with engine.connect() as connection:
        asked = question.compile(engine)
        bound = asked.construct_params({name: value for name, value in values.items() if name in names})
        row = [bound[name] for name in asked.positiontup or ()]
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {asked}", tuple(purge_value(value) for value in row)
        ).fetchall()
    engine.dispose()
    lines = [line[-1] for line in plan]
    assert any("USING" in line and ("ix_tasks_kept" in line or "ix_tasks_sql_hash" in line) for line in lines)
    assert all(line.startswith("SEARCH") for line in lines), lines


def purge_value(value: Any) -> Any:
    """As the driver gets it."""
    return columns.millis(value) if isinstance(value, dt.datetime) else value


async def test_purging_twice_is_no_matter(history: Store) -> None:
    """A crash may have come before the answer."""
    await ended(history, "uid-1")
    assert (await history.purge(["uid-1"], at(0) + DAY, DAY)).gone == ("uid-1",)
    assert (await history.purge(["uid-1"], at(0) + DAY, DAY)).gone == ()


async def test_the_highest_number_given_does_not_fall(history: Store) -> None:
    """Though the newest steps have gone, and all of them: only another history has given less."""
    assert await history.highest_given() == 0
    await ended(history, "a")
    await ended(history, "b")
    newest = await history.last_transition()
    assert newest == await history.highest_given() > 0
    assert await purged(history, "b") == ["b"]
    assert await history.last_transition() < newest
    assert await purged(history, "a") == ["a"]
    assert (await history.last_transition(), await history.highest_given()) == (0, newest)
    await ended(history, "c")
    assert await history.highest_given() >= await history.last_transition() > newest


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_it_falls_where_an_older_state_is_put_in_the_place(history: Store, database: Database) -> None:
    """Under those who are connected, as a restore of a dump does, which sets the sequence with the rows."""
    await ended(history, "a")
    newest = await history.highest_given()
    engine = database.writing()
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE transitions")
        connection.exec_driver_sql("SELECT setval('transitions_id_seq', 1)")
    engine.dispose()
    assert await history.highest_given() == 1 < newest
