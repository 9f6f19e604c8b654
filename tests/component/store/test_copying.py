"""A history moves from its file into a PostgreSQL database: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import (
    AuditRecord,
    DatabaseLock,
    HistoryLock,
    KeyRecord,
    Store,
    copy_history,
    copying,
    open_database,
    open_history,
    schema,
)
from querytask.core.listing import Order, PageRequest, TaskFilter
from querytask.names import Phase
from tests.component.store.builders import T0, Clock, at, attempt, export, result, step, task
from tests.component.store.databases import Postgresql, Sqlite
from tests.component.store.test_record import EVERYTHING
from tests.kit import postgres


@pytest.fixture(scope="session")
def dialect() -> str:
    """It is filled on SQLite."""
    return "sqlite"


@pytest.fixture
def target(server: postgres.Server) -> Iterator[str]:
    """The URL of a database without anything in it."""
    with postgres.database(server) as name:
        yield server.url(name)


async def filled(history: Store) -> None:
    """Rows in every table, with everything that a row may hold."""
    await history.record(EVERYTHING, attempt(2), export(), [step(), step(Phase.FAILED, "SqlError")])
    await history.record(task("odd", sql="SELECT 'Übung ''x''\\n' FROM late_flights", message="a\tb\\N\0"))
    await history.record(task("odd", Phase.RUNNING), None, None, [step(Phase.RUNNING, "Started")])
    done = task("done", Phase.SUCCEEDED, result=result(), execution_seconds=1.5, completed_at=at(9))
    await history.record(done, None, export(), [step(Phase.SUCCEEDED, "Completed")])
    await history.record(
        task("gone", Phase.SUCCEEDED), None, None, [step(), step(Phase.SUCCEEDED, "Completed")]
    )
    await history.close_deleted("gone", at(0))
    await history.purge(["gone"], at(10**6), at(1) - at(0))
    await history.api.claim(KeyRecord(id="k", request="r", name="n", created_at=T0, expires_at=at(9)), T0)
    await history.api.note(
        AuditRecord(at=T0, principal="p", verb="create", namespace="n", name="n", uid="u", request_id="r")
    )
    await history.ping()


async def seen(history: Store) -> list[Any]:
    """Everything that can be asked of it."""
    pages = [
        await history.search(TaskFilter(namespace="analytics"), PageRequest(order=order)) for order in Order
    ]
    words = [
        await history.search(TaskFilter(namespace="analytics", text=text), PageRequest())
        for text in ("late_flights", "übung", "SELECT 1", "nothing")
    ]
    tasks = [await history.get(item.uid) for item in pages[0].items]
    steps = [await history.transitions(item.uid) for item in pages[0].items]
    counts = sorted((await history.figures("analytics")).counts.items())
    return [pages, words, tasks, steps, sorted((await history.phases()).items()), counts]


def as_there(found: Any) -> str:
    """As PostgreSQL has it."""
    return repr(found).replace("\\x00", "\ufffd")


async def test_everything_moves(history: Store, directory: Path, target: str) -> None:
    """Each row of each table; whatever is asked of it has the same answer there, and it is gone on with."""
    await filled(history)
    before = await seen(history)
    last = await history.last_transition()
    await history.close()
    said: list[str] = []
    copied = copy_history(directory, target, said.append)
    assert all(number > 0 for number in copied.rows.values()), copied.rows
    assert set(copied.rows) == set(schema.tables.tables)
    assert "tasks: 3 rows" in said
    moved = await open_database(target, Clock())
    assert as_there(await seen(moved)) == as_there(before)
    await moved.record(task("new"), None, None, [step()])
    assert await moved.last_transition() == last + 3  # the steps of the task that was purged had two numbers
    await moved.api.note(
        AuditRecord(at=T0, principal="p", verb="create", namespace="n", name="n", uid="u2", request_id="r")
    )
    await moved.integrity_check()
    await moved.close()


async def test_a_history_that_has_something_is_not_written_over(
    history: Store, directory: Path, target: str
) -> None:
    """Nor is it copied into twice."""
    await filled(history)
    await history.close()
    copy_history(directory, target, lambda line: None)
    with pytest.raises(errors.StoreError, match="must hold nothing yet"):
        copy_history(directory, target, lambda line: None)
    moved = await open_database(target)
    assert await moved.count(TaskFilter(namespace="analytics")) == 3
    await moved.close()


async def test_what_the_api_alone_has_written_is_not_written_over(
    history: Store, directory: Path, target: str
) -> None:
    """Though there is no task beside it; an operator that has only started is no reason to refuse."""
    await history.close()
    there = await open_database(target)
    await there.ping()
    await there.close()
    copy_history(directory, target, lambda line: None)
    there = await open_database(target)
    await there.api.note(
        AuditRecord(at=T0, principal="p", verb="create", namespace="n", name="n", uid="u", request_id="r")
    )
    await there.close()
    with pytest.raises(errors.StoreError, match="its table api_audit has rows"):
        copy_history(directory, target, lambda line: None)


async def test_a_copy_that_was_cut_short_is_begun_again(history: Store, directory: Path, target: str) -> None:
    """Wherever it was: nothing of it is there, and the next one is whole."""
    await filled(history)
    await history.close()

    class Cut(Exception):
        """As Ctrl-C is."""

    said: list[str] = []
    copy_history(directory, target, said.append)
    engine = Postgresql(target).writing()
    for stop in range(len(said) - 1):
        with engine.connect() as connection, connection.begin():
            names = "queries, tasks, versions, moves, api_keys, api_audit"
            connection.execute(sa.text(f"TRUNCATE {names} CASCADE"))
        heard: list[str] = []

        def say(line: str, heard: list[str] = heard, stop: int = stop) -> None:
            heard.append(line)
            if len(heard) > stop:
                raise Cut

        with pytest.raises(Cut):
            copy_history(directory, target, say)
        with engine.connect() as connection, connection.begin():
            count = sa.select(sa.func.count()).select_from(schema.tasks)
            assert connection.execute(count).scalar_one() == 0
    engine.dispose()
    assert copy_history(directory, target, lambda line: None).rows["tasks"] == 3


async def test_an_operator_must_not_run(history: Store, directory: Path, target: str) -> None:
    """On neither side: the error says who does."""
    await filled(history)
    await history.close()
    for lock in (HistoryLock(directory, "operator-a"), DatabaseLock(target, "operator-a")):
        assert lock.acquire()
        with pytest.raises(
            errors.StoreUnavailable, match=r"held by operator-a, since 20.* stop the"
        ) as caught:
            copy_history(directory, target, lambda line: None)
        assert caught.value.fault == "Locked"
        lock.release()
    assert copy_history(directory, target, lambda line: None).rows["tasks"] == 3


async def test_what_is_no_history_is_refused(tmp_path: Path, target: str) -> None:
    """And one of an older release, which has to be brought forward first."""
    with pytest.raises(errors.StoreError, match="must be a history; there is none"):
        copy_history(tmp_path, target, lambda line: None)
    Sqlite(tmp_path).writing().connect().close()
    with pytest.raises(errors.StoreUnavailable, match="has to start first") as caught:
        copy_history(tmp_path, target, lambda line: None)
    assert caught.value.fault == "Outdated"


async def test_progress_is_told(history: Store, directory: Path, target: str) -> None:
    """In a table of many rows, again and again."""
    await history.record(task(), None, None, [step(reason=f"r{n}") for n in range(copying.AT_ONCE + 5)])
    await history.close()
    said: list[str] = []
    copied = copy_history(directory, target, said.append)
    assert f"transitions: {copying.AT_ONCE} of {copying.AT_ONCE + 5} rows" in said
    assert copied.rows["transitions"] == copying.AT_ONCE + 5
    again = await open_history(directory)
    assert (await again.get("uid-1")) is not None
    await again.close()
