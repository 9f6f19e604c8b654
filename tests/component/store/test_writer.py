"""One writer for many: shared transactions, and nobody suffers for another's fault."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import Store, steps
from querytask.adapters.store.writer import Writer
from querytask.names import Phase
from tests.component.store.builders import T0, step, task
from tests.component.store.databases import Database


class Transactions:
    """Counts the commits of an engine."""

    def __init__(self, engine: sa.Engine) -> None:
        self.committed = self.rolled_back = 0
        sa.event.listen(engine, "commit", self._commit)
        sa.event.listen(engine, "rollback", self._rollback)

    def _commit(self, connection: sa.Connection) -> None:
        self.committed += 1

    def _rollback(self, connection: sa.Connection) -> None:
        self.rolled_back += 1


@pytest.fixture
def engine(database: Database) -> sa.Engine:
    return database.writing()


@pytest.fixture
def writer(engine: sa.Engine, database: Database) -> Iterator[Writer]:
    writer = Writer(engine, database.where)
    yield writer
    writer.close()


def held(writer: Writer) -> threading.Event:
    """Keep the writer busy until the event is set, so that what is submitted meanwhile gathers."""
    release, begun = threading.Event(), threading.Event()

    def wait(connection: sa.Connection) -> None:
        begun.set()
        release.wait(10)

    writer.submit(wait)
    assert begun.wait(10)
    return release


def write(uid: str):
    return lambda connection: steps.record(connection, steps.Step(task(uid)), T0)


def refuse(connection: sa.Connection) -> None:
    steps.record(connection, steps.Step(task("half")), T0)
    raise ArithmeticError("of this item alone")


def outcomes(futures: list[Future]) -> list[BaseException | None]:
    return [future.exception(10) for future in futures]


def test_what_gathers_shares_a_flush(writer: Writer, engine: sa.Engine) -> None:
    """Fifty that wait at one time are durable after one commit."""
    release = held(writer)
    futures = [writer.submit(lambda connection: steps.beat(connection, T0)) for _ in range(50)]
    counted = Transactions(engine)
    release.set()
    assert outcomes(futures) == [None] * 50
    assert counted.committed < 10


def test_a_bad_item_harms_no_other(writer: Writer) -> None:
    """It alone fails, and leaves nothing behind; the others of its transaction are written all the same."""
    release = held(writer)
    futures = [writer.submit(write("first")), writer.submit(refuse), writer.submit(write("last"))]
    release.set()
    assert [type(error) for error in outcomes(futures)] == [type(None), ArithmeticError, type(None)]
    found = writer.submit(lambda c: list(c.exec_driver_sql("SELECT uid FROM tasks ORDER BY uid").scalars()))
    assert found.result(10) == ["first", "last"]


def test_order_is_kept(writer: Writer) -> None:
    """What was submitted first is written first, also over several transactions."""
    ran: list[int] = []

    def note(number: int) -> Callable[[sa.Connection], None]:
        return lambda connection: ran.append(number)

    futures = [writer.submit(note(number)) for number in range(300)]
    assert outcomes(futures) == [None] * 300
    assert ran == list(range(300))


def test_an_item_that_was_given_up_is_left_out(writer: Writer) -> None:
    """Whoever cancels before the writer has come to it, has not written."""
    release = held(writer)
    ran: list[int] = []
    future = writer.submit(lambda c: ran.append(1))
    assert future.cancel()
    release.set()
    writer.close()
    assert ran == []


def test_close_finishes_what_came_in(database: Database) -> None:
    """And then takes no more, with a sentence."""
    writer = Writer(database.writing(), database.where)
    release = held(writer)
    future = writer.submit(write("last"))
    release.set()
    writer.close()
    writer.close()
    assert future.result(0).task.uid == "last"
    with pytest.raises(errors.StoreUnavailable, match="is closed") as caught:
        writer.submit(write("too late"))
    assert caught.value.fault == "Closed"


async def test_fifty_writers_at_once(history: Store) -> None:
    """Each gets the row of its own task, and all rows are there."""

    async def live(number: int) -> None:
        uid = f"uid-{number}"
        for phase in (Phase.QUEUED, Phase.RUNNING, Phase.SUCCEEDED):
            stored = await history.record(task(uid, phase), None, None, [step(phase)])
            assert (stored.task.uid, stored.task.phase) == (uid, phase)

    await asyncio.gather(*[live(number) for number in range(50)])
    assert (await history.phases())[Phase.SUCCEEDED].count == 50
    assert [item.phase for item in await history.transitions("uid-7")] == [
        Phase.QUEUED,
        Phase.RUNNING,
        Phase.SUCCEEDED,
    ]


async def test_a_caller_that_goes_away_harms_nobody(history: Store) -> None:
    """Cancelling one that waits leaves the writer and the others as they are."""
    going = asyncio.create_task(history.record(task("going")))
    staying = asyncio.create_task(history.record(task("staying")))
    await asyncio.sleep(0)
    going.cancel()
    assert (await staying).task.uid == "staying"
    assert (await history.record(task("after"))).task.uid == "after"
    with pytest.raises(asyncio.CancelledError):
        await going


async def test_a_closed_history_says_so(database: Database) -> None:
    """Reads and writes alike, however late they come."""
    history = await database.open()
    await history.close()
    await history.close()
    for call in (history.get("a"), history.record(task())):
        with pytest.raises(errors.StoreUnavailable, match="is closed"):
            await call
