"""Forks the engine process, and what that process does before it can import DuckDB.

``os.fork`` and not ``multiprocessing``: the supervisor is small when it forks, has no threads, and its start
is measured.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from . import limits, signals, sources
from .channel import Sender
from .job import Job
from .log import Log


@dataclass(frozen=True, slots=True)
class Child:
    """The supervisor's ends of a running engine process."""

    pid: int
    orders: int
    """Written to: one byte says stop; closing it ends the engine."""
    fragments: int
    """Read from: fragments of the outcome."""
    output: int
    """Read from: what the process writes to its standard output and error."""


STACK_BYTES = 512 * 1024
"""For the helper threads: the bound on the process's data counts what a stack reserves, not what it uses."""

Orders = Callable[[Callable[[], None]], None]
Body = Callable[[Job, Sender, Log, Orders], None]
"""What the engine process does: gets the job, how to tell, the log, and where to say what a stop calls."""


def start(job: Job, log_fields: dict[str, object], body: Body | None = None) -> Child:
    """Fork the engine process; without a ``body`` it runs the job with DuckDB.

    Raises ``OSError`` when there is no process or no pipe to be had.
    """
    orders_read, orders = os.pipe2(os.O_CLOEXEC)
    fragments, fragments_write = os.pipe2(os.O_CLOEXEC)
    output, output_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        for descriptor in (orders, fragments, output):
            os.close(descriptor)
        _live(job, log_fields, body or _with_duckdb, orders_read, fragments_write, output_write)
    for descriptor in (orders_read, fragments_write, output_write):
        os.close(descriptor)
    for descriptor in (fragments, output):
        os.set_blocking(descriptor, False)
    return Child(pid, orders, fragments, output)


def _live(
    job: Job, log_fields: dict[str, object], body: Body, orders: int, fragments: int, output: int
) -> NoReturn:
    """The whole life of the engine process.

    It ends here, whatever happens: it must never return into the supervisor's code.
    """
    try:
        signals.forget()
        os.setsid()
        _redirect(output)
        _bound(job)
        tell, log = Sender(fragments), Log(lambda line: os.write(2, line), log_fields)
        threading.stack_size(STACK_BYTES)
        listener = _Listener(orders)
        listener.start()
        body(job, tell, log, listener.on_stop)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # no teardown: freeing gigabytes takes time, and the supervisor removes the spill


def _with_duckdb(job: Job, tell: Sender, log: Log, orders: Orders) -> None:
    from .engine import attempt  # only now: DuckDB is not for the supervisor

    attempt(job, tell, log, orders)


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.enable()


def _bound(job: Job) -> None:
    import resource

    os.environ["HOME"] = os.environ["TMPDIR"] = job.places.spill_dir
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits.bound_data(job.limits.data_bytes)
    limits.prefer_for_oom_kill()
    sources.enter(job.places)


class _Listener(threading.Thread):
    """Waits for the supervisor's order, also while DuckDB is still being imported.

    Without a supervisor there is no engine.
    """

    def __init__(self, orders: int) -> None:
        super().__init__(name="orders", daemon=True)
        self._orders = orders
        self._lock = threading.Lock()
        self._ordered = False
        self._stop: Callable[[], None] | None = None

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Have ``stop`` called when the order comes; at once if it has come already."""
        with self._lock:
            self._stop = stop
            ordered = self._ordered
        if ordered:
            stop()

    def run(self) -> None:
        while os.read(self._orders, 1):
            with self._lock:
                self._ordered = True
                stop = self._stop
            if stop is not None:
                stop()
        os._exit(1)
