"""The pool: bounded, refilled, and what was discarded never comes back."""

from __future__ import annotations

import threading

import pytest

from querytask_worker.log import Log
from querytask_worker.pool import ConnectionPool, PoolClosed


class Connection:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Unclosable(Connection):
    def close(self) -> None:
        super().close()
        raise RuntimeError("it will not")


def test_a_released_connection_is_lent_again(log: Log):
    pool = ConnectionPool(Connection, log)
    first = pool.acquire()
    pool.release(first)
    assert pool.acquire() is first
    pool.release(first)
    assert (pool.close(), first.closed) == (0, 1)


def test_a_discarded_connection_is_closed_and_never_lent_again(log: Log):
    pool = ConnectionPool(Connection, log)
    first = pool.acquire()
    pool.discard_connection(first)
    second = pool.acquire()
    assert (first.closed, second is first) == (1, False)
    pool.discard_connection(second)
    assert pool.close() == 0


def test_the_pool_refills_to_its_minimum(log: Log):
    pool = ConnectionPool(Connection, log, minimum=2, maximum=3)
    assert (pool.idle_count, pool.lent_count) == (2, 0)
    lent = [pool.acquire(), pool.acquire()]
    for connection in lent:
        pool.discard_connection(connection)
    assert (pool.idle_count, pool.lent_count) == (2, 0)
    pool.close()


def test_a_discard_wakes_whoever_waits(log: Log):
    pool = ConnectionPool(Connection, log)
    first, got = pool.acquire(), []
    waiter = threading.Thread(target=lambda: got.append(pool.acquire(timeout=10)))
    waiter.start()
    pool.discard_connection(first)
    waiter.join(10)
    assert got
    assert got[0] is not first
    pool.release(got[0])
    pool.close()


def test_waiting_ends(log: Log):
    pool = ConnectionPool(Connection, log)
    first = pool.acquire()
    with pytest.raises(TimeoutError, match="all 1 are lent"):
        pool.acquire(timeout=0.01)
    pool.release(first)
    pool.close()


def test_a_closed_pool_lends_nothing_and_tells_what_is_still_lent(log: Log, lines: list[bytes]):
    pool = ConnectionPool(Connection, log)
    lent = pool.acquire()
    assert pool.close() == 1
    assert b"connections still lent" in lines[-1]
    with pytest.raises(PoolClosed):
        pool.acquire()
    pool.release(lent)
    assert lent.closed == 1


def test_only_what_was_lent_can_be_given_back(log: Log):
    pool = ConnectionPool(Connection, log)
    with pytest.raises(ValueError, match="lent"):
        pool.release(Connection())


def test_opening_that_fails_gives_its_place_back(log: Log):
    failures = [RuntimeError("no")]

    def connect() -> Connection:
        if failures:
            raise failures.pop()
        return Connection()

    pool = ConnectionPool(connect, log)
    with pytest.raises(RuntimeError):
        pool.acquire()
    pool.release(pool.acquire(timeout=1))
    pool.close()


def test_closing_that_fails_is_logged(log: Log, lines: list[bytes]):
    pool = ConnectionPool(Unclosable, log)
    pool.discard_connection(pool.acquire())
    assert b"closing a connection failed" in b"".join(lines)


@pytest.mark.parametrize(("minimum", "maximum"), [(-1, 1), (2, 1), (0, 0)])
def test_sizes_must_make_sense(log: Log, minimum: int, maximum: int):
    with pytest.raises(ValueError, match="minimum must be"):
        ConnectionPool(Connection, log, minimum=minimum, maximum=maximum)


def test_threads_share_a_connection_without_ever_holding_it_together(log: Log):
    pool = ConnectionPool(Connection, log, maximum=2)
    holding, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal holding, most
        for turn in range(100):
            connection = pool.acquire(timeout=10)
            with lock:
                holding += 1
                most = max(most, holding)
            with lock:
                holding -= 1
            (pool.release if turn % 2 else pool.discard_connection)(connection)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 2
    assert pool.close() == 0
