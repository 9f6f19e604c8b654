"""One operator at a time: two holders and a lease in memory."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
from typing import Any

import pytest

from querytask import errors, names
from querytask.runtime.lease import Lease, LeaseLost
from tests import builders as make


class Server:
    """The API server's leases: versions, conflicts, and outages on demand."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.away = False
        self.writes = 0
        self.before_write = lambda: None

    def _answer(self) -> None:
        if self.away:
            raise errors.Unavailable("no answer")

    async def get_lease(self, name: str) -> dict[str, Any]:
        self._answer()
        if self.lease is None:
            raise errors.NotFound(name)
        return copy.deepcopy(self.lease)

    async def create_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        self.before_write()
        if self.lease is not None:
            raise errors.AlreadyExists(body["metadata"]["name"])
        return self._store(body)

    async def replace_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        self.before_write()
        if self.lease is None or body["metadata"].get("version") != self.lease["metadata"]["version"]:
            raise errors.Conflict("another has written since")
        return self._store(body)

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["version"] = self.writes
        return copy.deepcopy(self.lease)

    @property
    def spec(self) -> Any:
        assert self.lease is not None
        return self.lease["spec"]


class Wall:
    """The wall clock of one machine."""

    def __init__(self) -> None:
        self.moment = make.NOW

    def __call__(self) -> dt.datetime:
        return self.moment

    def wait(self, seconds: float) -> None:
        self.moment += dt.timedelta(seconds=seconds)


@pytest.fixture
def server() -> Server:
    return Server()


def lease(server: Server, holder: str, wall: Wall | None = None, told: list[str] | None = None) -> Lease:
    """A lease of no real length: its sleeps are over at once, its time is the wall's."""
    return Lease(server, holder, 0, wall or Wall(), (told if told is not None else []).append)


async def tries(which: Lease, times: int = 1) -> bool:
    """Whether the lease is ours after so many tries."""
    for _ in range(times):
        try:
            async with asyncio.timeout(0.01):
                await which.acquire()
                return True
        except TimeoutError:
            continue
    return False


async def until(what) -> None:
    """Let the loop turn until something is true."""
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110 - what is awaited is a plain value
            await asyncio.sleep(0)


async def test_the_first_one_takes_it(server):
    """It is made where it is not there, and says who holds it, since when, and for how long."""
    told: list[str] = []
    first = lease(server, "a", told=told)
    assert not first.held.is_set()
    await first.acquire()
    assert first.held.is_set()
    assert first.blocker == ""
    assert server.lease["metadata"]["name"] == names.LEASE_NAME
    assert server.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 0,
        "acquireTime": "2026-11-22T12:00:00.000000Z",
        "renewTime": "2026-11-22T12:00:00.000000Z",
        "leaseTransitions": 0,
    }
    assert told == [""], "nothing blocks it"


async def test_the_second_one_waits_and_says_for_whom(server):
    """As long as the first one renews."""
    wall = Wall()
    told: list[str] = []
    await lease(server, "a").acquire()
    second = lease(server, "b", wall, told)
    assert not await tries(second)
    assert second.blocker == "it is held by a"
    assert set(told) == {"it is held by a"}
    assert server.spec["holderIdentity"] == "a"


async def test_a_lease_that_is_not_renewed_is_taken(server):
    """Its age is measured by the waiting one's own clock, from when it first saw this renewal."""
    ahead = Wall()
    ahead.wait(10_000)
    await lease(server, "a").acquire()
    second = lease(server, "b", ahead)
    assert not await tries(second), "its clock is far ahead, and that says nothing"
    ahead.wait(1)
    assert await tries(second)
    assert (server.spec["holderIdentity"], server.spec["leaseTransitions"]) == ("b", 1)


async def test_a_renewal_starts_the_wait_anew(server):
    """Every renewal is seen, whatever its clock says."""
    wall, theirs = Wall(), Wall()
    first = lease(server, "a", theirs)
    await first.acquire()
    second = lease(server, "b", wall)
    assert not await tries(second)
    theirs.wait(1)
    await first.acquire()
    wall.wait(1)
    assert not await tries(second)
    wall.wait(1)
    assert await tries(second)


async def test_the_length_is_the_holders(server):
    """A holder of a longer lease is waited for longer."""
    await lease(server, "a").acquire()
    server.spec["leaseDurationSeconds"] = 30
    wall = Wall()
    second = lease(server, "b", wall)
    assert not await tries(second)
    wall.wait(30)
    assert not await tries(second)
    wall.wait(0.5)
    assert await tries(second)


async def test_a_lease_that_was_released_is_free_at_once(server):
    """An orderly end makes nobody wait."""
    first = lease(server, "a")
    await first.acquire()
    await first.release()
    assert server.spec["holderIdentity"] == ""
    assert await tries(lease(server, "b"))


async def test_who_does_not_hold_it_does_not_release_it(server):
    """An operator that has lost it ends without harm."""
    await lease(server, "a").acquire()
    await lease(server, "b").release()
    assert server.spec["holderIdentity"] == "a"


async def test_a_release_that_fails_is_no_error(server):
    """The next one waits until it has run out."""
    first = lease(server, "a")
    await first.acquire()
    server.away = True
    await first.release()


async def test_two_that_take_it_at_once(server):
    """One of them wins, and the other one sees that."""
    server.before_write = lambda: setattr(server, "lease", server.lease or _taken_by("b"))
    first = lease(server, "a")
    assert not await tries(first)
    assert server.spec["holderIdentity"] == "b"
    await asyncio.sleep(0)
    assert "held by b" in first.blocker


async def test_two_that_take_a_stale_one_at_once(server):
    """The version decides."""
    wall = Wall()
    await lease(server, "dead").acquire()
    first = lease(server, "a", wall)
    assert not await tries(first)
    wall.wait(1)

    def overtake() -> None:
        server.before_write = lambda: None
        server.lease = _taken_by("b")

    server.before_write = overtake
    assert not await tries(first)
    assert server.spec["holderIdentity"] == "b"


def _taken_by(holder: str) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": "2026-11-22T12:00:00.000000Z"}
    return {"metadata": {"name": names.LEASE_NAME, "version": 99}, "spec": spec}


async def test_keeping_it_renews_it(server):
    """Again and again, and the time of its acquisition stays."""
    wall = Wall()
    first = lease(server, "a", wall)
    await first.acquire()
    keeper = asyncio.create_task(first.keep())
    wall.wait(5)
    await until(lambda: server.spec["renewTime"] == "2026-11-22T12:00:05.000000Z")
    assert server.spec["acquireTime"] == "2026-11-22T12:00:00.000000Z"
    assert server.spec["leaseTransitions"] == 0
    keeper.cancel()


async def test_a_lease_that_another_one_has_ends_the_operator(server):
    """Better no operator than two."""
    first = lease(server, "a")
    await first.acquire()
    server.lease = _taken_by("b")
    with pytest.raises(LeaseLost, match="it is held by b"):
        async with asyncio.timeout(5):
            await first.keep()
    assert not first.held.is_set()


async def test_an_api_server_that_is_away_makes_the_work_wait(server):
    """For as long as it is away: nobody reconciles without the lease, and nobody gives up. Then it goes on,
    and readiness is told."""
    wall = Wall()
    told: list[str] = []
    first = lease(server, "a", wall, told)
    await first.acquire()
    keeper = asyncio.create_task(first.keep())
    server.away = True
    await until(lambda: "no answer" in first.blocker)
    assert first.held.is_set(), "it is still ours for its duration"
    wall.wait(1)
    await until(lambda: not first.held.is_set())
    assert not keeper.done()
    server.away = False
    await until(first.held.is_set)
    assert told[-1] == ""
    keeper.cancel()


async def test_a_lease_that_was_deleted_is_made_anew(server):
    """Somebody has cleaned up too much."""
    first = lease(server, "a")
    await first.acquire()
    keeper = asyncio.create_task(first.keep())
    server.lease = None
    await until(lambda: server.lease is not None)
    assert server.spec["holderIdentity"] == "a"
    keeper.cancel()


async def test_an_api_server_that_is_away_at_the_start_is_waited_for(server):
    """And says so."""
    server.away = True
    first = lease(server, "a")
    waiting = asyncio.create_task(first.acquire())
    await until(lambda: "the API server did not answer" in first.blocker)
    server.away = False
    async with asyncio.timeout(5):
        await waiting
    assert first.held.is_set()
