"""The work queue: each key once, never twice at once, later when it is to be, and with a growing delay after
a failure."""

from __future__ import annotations

import asyncio

import pytest

from querytask.runtime.queue import SPARE_TIMERS, WorkQueue


class Clock:
    """Monotonic seconds that move when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


async def take(queue: WorkQueue[str]) -> str:
    """The next key, which must be there."""
    async with asyncio.timeout(5):
        return await queue.get()


async def drain(queue: WorkQueue[str]) -> list[str]:
    """Every key that is ready now, each worked on and done."""
    found = []
    while len(queue):
        key = await take(queue)
        found.append(key)
        queue.done(key)
    return found


async def waits(queue: WorkQueue[str]) -> bool:
    """Whether a worker has nothing to take now."""
    worker = asyncio.create_task(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    if worker.done():
        queue.done(worker.result())
        return False
    worker.cancel()
    return True


async def test_first_come_first_served(queue):
    """Keys come out in the order in which they were added first."""
    for key in ("a", "b", "a", "c", "b"):
        queue.add(key)
    assert len(queue) == 3
    assert await drain(queue) == ["a", "b", "c"]


async def test_a_key_is_never_worked_on_twice_at_once(queue):
    """Added while it is worked on, it comes back when that work is done, and once."""
    queue.add("a")
    assert await take(queue) == "a"
    queue.add("a")
    queue.add("a")
    assert await waits(queue)
    assert not queue.idle
    queue.done("a")
    assert await drain(queue) == ["a"]
    assert queue.idle


async def test_two_workers_get_two_keys(queue):
    """A worker that sleeps is woken for the second key, too."""
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    done, pending = await asyncio.wait(workers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, pending = await asyncio.wait(pending, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert more
        done |= more
    assert {worker.result() for worker in done} == {"a", "b"}
    assert len(pending) == 1
    pending.pop().cancel()


async def test_later(queue, clock):
    """A key that was added for later is not ready before its time, and then it is."""
    queue.add_after("a", 10)
    assert (len(queue), queue.idle) == (0, True)
    clock.seconds += 9.9
    assert await waits(queue)
    clock.seconds += 0.1
    assert await take(queue) == "a"


async def test_an_earlier_time_replaces_a_later_one(queue, clock):
    """And a later one does not replace an earlier one."""
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    clock.seconds += 5
    assert await take(queue) == "a"
    queue.done("a")
    clock.seconds += 100
    assert await waits(queue), "it was asked for once"


async def test_at_once_forgets_later(queue, clock):
    """What is looked at now asks for its next look by itself."""
    queue.add_after("a", 10)
    queue.add("a")
    assert await drain(queue) == ["a"]
    clock.seconds += 100
    assert await waits(queue)


async def test_later_means_nothing_for_a_key_that_is_ready(queue, clock):
    """It comes anyway."""
    queue.add("a")
    queue.add_after("a", 10)
    assert await drain(queue) == ["a"]
    clock.seconds += 100
    assert await waits(queue)


async def test_later_while_it_is_worked_on(queue, clock):
    """A worker asks for the next look before it has finished this one."""
    queue.add("a")
    await take(queue)
    queue.add_after("a", 10)
    queue.done("a")
    assert await waits(queue)
    clock.seconds += 10
    assert await drain_one(queue) == "a"


async def drain_one(queue: WorkQueue[str]) -> str:
    key = await take(queue)
    queue.done(key)
    return key


async def test_a_sleeping_worker_wakes_for_a_timer():
    """Real time: nobody adds anything, and the key comes when it is due."""
    loop = asyncio.get_running_loop()
    queue = WorkQueue[str](loop.time)
    queue.add_after("a", 0.05)
    started = loop.time()
    assert await take(queue) == "a"
    assert loop.time() - started >= 0.045


async def test_a_sleeping_worker_wakes_for_an_earlier_timer():
    """A timer that is added later may be due first."""
    queue = WorkQueue[str](asyncio.get_running_loop().time)
    queue.add_after("late", 60)
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after("soon", 0.01)
    async with asyncio.timeout(5):
        assert await worker == "soon"


def test_a_failure_comes_back_later_each_time(queue):
    """The delay doubles up to its bound, and starts anew after a success."""
    delays = [queue.add_failed("a") for _ in range(12)]
    assert delays[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert delays[-1] == 30.0
    assert queue.add_failed("b") == 0.2, "each key has its own"
    queue.forget("a")
    assert queue.add_failed("a") == 0.2


def test_a_thousand_failures_do_not_overflow(queue):
    """The doubling stops."""
    for _ in range(5000):
        delay = queue.add_failed("a")
    assert delay == 30.0


async def test_a_failed_key_comes_back(queue, clock):
    """After its delay, without anybody adding it."""
    queue.add("a")
    await take(queue)
    queue.add_failed("a")
    queue.done("a")
    assert await waits(queue)
    clock.seconds += 0.2
    assert await drain_one(queue) == "a"


async def test_ages(queue, clock):
    """How long the first key has waited for a worker, and how long the oldest work takes."""
    assert (queue.oldest_seconds(), queue.longest_work_seconds()) == (0, 0)
    queue.add("a")
    clock.seconds += 3
    queue.add("b")
    clock.seconds += 1
    assert queue.oldest_seconds() == 4
    await take(queue)
    assert queue.oldest_seconds() == 1
    clock.seconds += 7
    await take(queue)
    clock.seconds += 2
    assert queue.longest_work_seconds() == 9
    queue.done("a")
    assert queue.longest_work_seconds() == 2
    queue.done("b")
    assert (queue.oldest_seconds(), queue.longest_work_seconds(), queue.idle) == (0, 0, True)


async def test_timers_that_count_no_more_do_not_pile_up(queue):
    """A key that waits for a day is looked at every few seconds, and each look asks for the same time."""
    for _ in range(50 * SPARE_TIMERS):
        queue.add_after("a", 86_400)
        queue.add("a")
        await drain(queue)
    queue.add_after("a", 86_400)
    assert queue.timers <= 2 + SPARE_TIMERS


async def test_clearing_away_timers_loses_none(queue, clock):
    """Those that count stay, in their order."""
    for number in range(10):
        queue.add_after(f"key-{number}", 10 + number)
    for _ in range(5 * SPARE_TIMERS):
        queue.add_after("busy", 500)
        queue.add("busy")
        await drain(queue)
    clock.seconds += 20
    assert [await drain_one(queue) for _ in range(10)] == [f"key-{number}" for number in range(10)]
