"""PostgreSQL under fire: what ends its sessions, its server or our process, or comes at a bad moment.

The counterpart of ``test_faults`` and ``test_fire``. A real server, real processes; none of it may lose a row
that was answered for, and what is written again must come to the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from querytask import errors
from querytask.adapters.store import Store, open_database
from querytask.names import Phase
from tests.component.store.builders import attempt, export, result, step, task
from tests.component.store.weather import assert_kept, kill_writers
from tests.kit import postgres

LANES = 8


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgres.Server]:
    """A server that may be ended."""
    with postgres.Server() as running:
        yield running


@pytest.fixture
async def own(own_server: postgres.Server) -> AsyncIterator[Store]:
    """A history on it."""
    name = own_server.create()
    store = await open_database(own_server.url(name))
    yield store
    await store.close()
    own_server.drop(name)


class Writers:
    """Lanes that write tasks, each task again until it is answered for, as an operator does."""

    def __init__(self, history: Store) -> None:
        self._history = history
        self.written: list[str] = []
        self.faults: list[errors.StoreUnavailable] = []
        self._stopped = asyncio.Event()
        self._lanes = [asyncio.create_task(self._lane(lane)) for lane in range(LANES)]

    async def stop(self) -> None:
        self._stopped.set()
        await asyncio.gather(*self._lanes)

    async def reach(self, number: int) -> None:
        """Come back when that many more are written."""
        wanted = len(self.written) + number
        while len(self.written) < wanted:
            assert not any(lane.done() for lane in self._lanes), [lane.exception() for lane in self._lanes]
            await asyncio.sleep(0.005)

    async def meet_a_fault(self) -> None:
        """Come back when one of them was refused."""
        while not self.faults:  # noqa: ASYNC110 -- as each of them may be
            await asyncio.sleep(0.005)

    async def _lane(self, lane: int) -> None:
        number = 0
        while not self._stopped.is_set():
            uid = f"uid-{lane}-{number}"
            try:
                await self._history.record(task(uid, message="x" * 500), attempt(), None, [step()])
                done = task(uid, Phase.SUCCEEDED, attempt=1, result=result())
                await self._history.record(done, attempt(), export(), [step(Phase.SUCCEEDED, "Completed")])
            except errors.StoreUnavailable as error:
                self.faults.append(error)
                await asyncio.sleep(0.01)
                continue
            self.written.append(uid)
            number += 1


async def whole(history: Store, uids: list[str]) -> None:
    """Each is there, once, with everything that was written of it."""
    await history.integrity_check()
    found = {key.uid for key in await history.present_tasks("analytics", limit=100_000)}
    assert set(uids) <= found
    for uid in uids:
        stored = await history.get(uid)
        assert stored is not None
        assert (stored.task.phase, len(stored.attempts), stored.export) == (Phase.SUCCEEDED, 1, export())
        told = [item.phase for item in await history.transitions(uid)]
        assert told == [Phase.QUEUED, Phase.SUCCEEDED]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "at once"])
async def test_a_server_that_is_started_anew_costs_time_and_no_rows(
    own: Store, own_server: postgres.Server, how: signal.Signals
) -> None:
    """Ended in the middle of writes: what was answered for is there, what was not is refused as ``Away``, and
    work goes on by itself when the server is back."""
    writers = Writers(own)
    for _ in range(2):
        await writers.reach(40)
        await asyncio.to_thread(own_server.stop, how)
        await writers.meet_a_fault()
        with pytest.raises(errors.StoreUnavailable) as caught:
            await own.get("uid-0-0")
        assert caught.value.fault == "Away"
        own_server.start()
    await writers.reach(40)
    await writers.stop()
    assert {error.fault for error in writers.faults} == {"Away"}
    await whole(own, writers.written)


async def test_an_idle_history_does_not_notice_a_restart(own: Store, own_server: postgres.Server) -> None:
    """Its connections are dead, and nobody who asks or writes hears of it."""
    await own.record(task("before"))
    assert await own.get("before") is not None
    own_server.stop()
    own_server.start()
    await own.record(task("after"))
    assert await own.get("before") is not None
    await own.ping()


class Losing:
    """A way to the server on which the answers to some commits are lost: they are done, and the session is at
    its end."""

    def __init__(self, port: int, lost: int) -> None:
        self._port, self._lost, self._commits = port, lost, 0
        self._sessions: list[asyncio.Task[None]] = []

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.append(asyncio.create_task(self._session(reader, writer)))

    async def end(self) -> None:
        """Come back when all of them have ended."""
        await asyncio.gather(*self._sessions)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(self._pass_on(far_reader, writer))
        while data := await reader.read(65536):
            if b"COMMIT\0" in data:
                self._commits += 1
                if self._commits == self._lost:
                    answers.cancel()
                    await asyncio.wait([answers])
                    far_writer.write(data)
                    assert b"COMMIT\0" in await far_reader.read(65536)
                    break
            far_writer.write(data)
        for end in (far_writer, writer):
            end.close()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()
        await asyncio.wait([answers])

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)


async def test_a_commit_whose_answer_was_lost_is_repeated(url: str, server: postgres.Server) -> None:
    """It is refused as ``Away``, though it was done; told again it comes to the same, and is no second
    change."""
    losing = Losing(server.port, lost=3)
    listening = await asyncio.start_server(losing, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    history = await open_database(url.replace(f":{server.port}/", f":{port}/"))
    step_of_it = (task(phase=Phase.RUNNING), attempt(), None, [step(Phase.RUNNING, "Started")])
    await history.record(task(), None, None, [step()])
    with pytest.raises(errors.StoreUnavailable) as caught:
        await history.record(*step_of_it)
    assert caught.value.fault == "Away"
    done = await history.get("uid-1")
    assert done is not None
    assert done.task.phase == Phase.RUNNING
    assert await history.record(*step_of_it) == done
    assert [item.phase for item in await history.transitions("uid-1")] == [Phase.QUEUED, Phase.RUNNING]
    await history.close()
    listening.close()
    await losing.end()


async def test_sessions_that_are_ended_in_the_middle_of_commits(url: str, server: postgres.Server) -> None:
    """A commit may have been done though its answer was lost: the step is repeated and comes to the same."""
    history, name = await open_database(url), url.rpartition("/")[2]
    writers = Writers(history)
    for _ in range(25):
        await writers.reach(3)
        await asyncio.to_thread(server.end_sessions, name)
    await writers.reach(20)
    await writers.stop()
    assert {error.fault for error in writers.faults} <= {"Away"}
    await whole(history, writers.written)
    await history.close()


async def test_a_killed_writer_loses_no_row_that_it_had_answered_for(url: str) -> None:
    """In one and the same database."""
    promised = await asyncio.to_thread(kill_writers, url)
    history = await open_database(url)
    await assert_kept(history, promised)
    await history.close()


async def test_two_operators_at_once_are_serialised(url: str) -> None:
    """Both write the same tasks: each step is one row, and the feed of steps never gets one in before one
    that it has told."""
    stores = [await open_database(url) for _ in range(2)]
    told: list[int] = []
    done = asyncio.Event()

    async def follow() -> None:
        while not done.is_set() or told[-1:] != [await stores[0].last_transition()]:
            new = await stores[0].transitions_after("analytics", told[-1] if told else 0, limit=7)
            told.extend(item.transition.id or 0 for item in new)

    async def write(store: Store, number: int) -> None:
        for phase in (Phase.QUEUED, Phase.RUNNING, Phase.SUCCEEDED):
            await store.record(task(f"uid-{number}", phase), None, None, [step(phase)])

    following = asyncio.create_task(follow())
    await asyncio.gather(*[write(store, number) for number in range(60) for store in stores])
    done.set()
    await following
    assert told == sorted(told)
    assert len(told) == len(set(told)) == 60 * 3
    for store in stores:
        await store.close()


async def test_damage_is_found(own_server: postgres.Server) -> None:
    """A page that does not fit its checksum is said to be damage; from then on readiness says so."""
    name = own_server.create()
    history = await open_database(own_server.url(name))
    for number in range(30):
        await history.record(task(f"uid-{number}", message="z" * 1000))
    await history.integrity_check()
    with own_server.administrator(name) as connection:
        path = own_server.data / str(_one(connection, "SELECT pg_relation_filepath('tasks')"))
        connection.execute("CHECKPOINT")
    own_server.stop()
    content = bytearray(path.read_bytes())
    content[8192 + 4000 : 8192 + 4100] = b"\xff" * 100
    path.write_bytes(content)
    own_server.start()
    with pytest.raises(errors.StoreCorrupt, match="restore it from a backup of the server"):
        await history.integrity_check()
    with pytest.raises(errors.StoreCorrupt):
        await history.ping()
    await history.close()
    own_server.drop(name)


def _one(connection: psycopg.Connection, question: str) -> object:
    found = connection.execute(question.encode()).fetchone()
    assert found is not None
    return found[0]
