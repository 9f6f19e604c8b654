"""The connection registry: who runs what, interrupts that are repeated until they are heard, entries that do
not stay.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import duckdb
import pytest

from querytask_worker.log import Log
from querytask_worker.registry import Registry, preview_of
from tests.worker.builders import await_value


class Deaf:
    """A connection that counts interrupts, and lets ``heard`` go after some of them."""

    def __init__(self, until: int = 1) -> None:
        self.interrupts = 0
        self.heard = threading.Event()
        self._until = until

    def interrupt(self) -> None:
        self.interrupts += 1
        if self.interrupts >= self._until:
            self.heard.set()


class Closed:
    def interrupt(self) -> None:
        raise RuntimeError("Connection already closed!")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(log: Log, clock: Clock, registries: list[Registry]) -> Iterator[Registry]:
    made = Registry(log, clock)
    registries.append(made)
    yield made
    made.close()


def test_a_record_says_who_runs_what(timed: Registry, clock: Clock):
    connection = Deaf()
    record = timed.register(connection, "a/1", "SELECT\n   1")
    assert (record.connection, record.task_id, record.thread_id) == (connection, "a/1", threading.get_ident())
    assert (record.started_at, record.sql_preview) == (100.0, "SELECT 1")
    assert timed.get("a/1") is record
    timed.unregister("a/1")
    assert timed.get("a/1") is None


def test_all_tasks_come_longest_running_first(timed: Registry, clock: Clock):
    for name in ("b", "a", "c"):
        timed.register(Deaf(), name, "SELECT 1")
        clock.now += 1
    assert [record.task_id for record in timed.get_all_tasks()] == ["b", "a", "c"]
    assert timed.get_active_count() == 3
    for name in ("b", "a", "c"):
        timed.unregister(name)


def test_a_task_runs_one_statement_at_a_time(registry: Registry):
    registry.register(Deaf(), "a", "SELECT 1")
    with pytest.raises(RuntimeError, match="never nested"):
        registry.register(Deaf(), "a", "SELECT 2")
    registry.unregister("a")


def test_an_interrupt_is_repeated_until_the_statement_returns(registry: Registry):
    """DuckDB drops what comes before execution starts: the third one is the first that is heard here."""
    connection = Deaf(until=3)
    registry.register(connection, "a", "SELECT 1")
    assert registry.interrupt("a") is True
    assert connection.interrupts == 1, "the call itself does not wait"
    assert connection.heard.wait(10)
    assert registry.unregister("a") is True, "its connection must not be used again"


def test_a_statement_that_returned_is_interrupted_no_more(registry: Registry):
    first, second = Deaf(until=2), Deaf(until=3)
    registry.register(first, "a", "SELECT 1")
    registry.register(second, "b", "SELECT 1")
    registry.interrupt("a")
    assert first.heard.wait(10)
    registry.returned("a")
    before = first.interrupts
    registry.interrupt("b")
    assert second.heard.wait(10)
    assert first.interrupts == before
    registry.unregister("a")
    registry.unregister("b")


def test_an_interrupt_without_a_statement_reaches_nobody(registry: Registry):
    assert registry.interrupt("nobody") is False
    registry.register(Deaf(), "a", "SELECT 1")
    registry.returned("a")
    assert registry.interrupt("a") is False
    registry.unregister("a")


def test_a_closed_connection_is_a_warning_and_no_error(registry: Registry, lines: list[bytes]):
    registry.register(Closed(), "a", "SELECT 1")
    assert registry.interrupt("a") is False
    registry.unregister("a")
    assert b"interrupt failed" in b"".join(lines)


def test_stale_entries_are_dropped_when_their_statement_has_returned(timed: Registry, clock: Clock):
    for name in ("running", "returned", "returned-keep"):
        timed.register(Deaf(), name, "SELECT 1")
    timed.returned("returned")
    timed.returned("returned-keep")
    clock.now += 10
    timed.register(Deaf(), "young", "SELECT 1")
    timed.returned("young")
    assert timed.cleanup_stale(5.0, ignore_suffix="-keep") == ["returned"]
    assert {record.task_id for record in timed.get_all_tasks()} == {"running", "returned-keep", "young"}
    assert timed.cleanup_stale(5.0) == ["returned-keep"]
    for name in ("running", "young"):
        timed.unregister(name)


def test_the_entry_of_a_thread_that_is_no_more_is_stale(timed: Registry, clock: Clock):
    """A thread that died without saying so runs no statement."""
    thread = threading.Thread(target=timed.register, args=(Deaf(), "lost", "SELECT 1"))
    thread.start()
    thread.join()
    clock.now += 10
    assert timed.cleanup_stale(5.0) == ["lost"]


def test_the_sweep_never_drops_what_runs(timed: Registry, clock: Clock):
    timed.register(Deaf(), "running", "SELECT 1")
    timed.register(Deaf(), "returned", "SELECT 1")
    timed.returned("returned")
    clock.now += 10
    timed.start_sweep(0.01, 5.0)
    timed.start_sweep(0.01, 5.0)
    await_value(lambda: timed.get("returned") is None)
    assert timed.get("running") is not None
    timed.unregister("running")


def test_what_is_left_at_the_end_is_counted_and_logged(log: Log, lines: list[bytes]):
    registry = Registry(log)
    registry.register(Deaf(), "left", "SELECT 1")
    assert registry.close() == 1
    assert b"still registered at the end" in lines[-1]
    registry.unregister("left")


def test_operations_are_logged_by_level(registry: Registry, lines: list[bytes]):
    registry.register(Deaf(), "a", "SELECT 1")
    registry.interrupt("a")
    registry.unregister("a")
    registry.unregister("a")
    logged = [json.loads(line) for line in lines]
    assert [(line["level"], line["message"]) for line in logged] == [
        ("INFO", "registered"),
        ("INFO", "interrupted"),
        ("INFO", "unregistered"),
        ("WARNING", "unregistered a task that is not registered"),
    ]


def test_threads_do_not_lose_each_others_entries(registry: Registry):
    """Many threads at once, with interrupts and sweeps among them; at the end nothing is left."""

    def work(number: int) -> None:
        for turn in range(50):
            name = f"{number}/{turn}"
            registry.register(Deaf(), name, "SELECT 1")
            if turn % 3 == 0:
                registry.interrupt(name)
            registry.cleanup_stale(1000.0)
            registry.unregister(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.get_active_count() == 0


STATEMENTS = {
    "scan": "SELECT * FROM range(1000000000)",
    "join": "SELECT count(*) FROM range(1000000) a JOIN range(1000000) b ON a.range * b.range % 7 = 3",
    "sort": "SELECT max(x) FROM (SELECT hash(range) AS x FROM range(100000000) ORDER BY x)",
    "aggregate": "SELECT count(*) FROM (SELECT range % 10000000 FROM range(400000000) GROUP BY ALL)",
    "sleep": "SELECT sleep_ms(60000)",
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_running_statement_of_duckdb_is_interrupted(registry: Registry, name: str):
    """With a real connection in a thread of its own, as soon as it is registered: it is not planned then."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "2GB"})
    ended = threading.Event()

    def work() -> None:
        registry.register(connection, "a", STATEMENTS[name])
        try:
            connection.execute(STATEMENTS[name])
            while connection.fetchmany(100000):
                pass
        except duckdb.Error:
            pass
        finally:
            registry.unregister("a")
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    await_value(lambda: registry.get("a"))
    assert registry.interrupt("a")
    assert ended.wait(5)
    thread.join()
    connection.close()


def test_the_preview_is_short_and_on_one_line():
    assert preview_of("SELECT\n\t1") == "SELECT 1"
    assert len(preview_of("x" * 100000)) == 200
