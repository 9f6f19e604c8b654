"""Threads for reads of a volume that may hang, and a bounded wait for each of them.

For the API. A network volume whose server is away keeps a read for as long as it likes, and nothing in this
process can end it. Whoever waits is let go after a while; the thread is lost until the read comes back. Once
all threads are lost, nobody waits any more: that the volume hangs is known then. The threads are daemons, so
that a volume that hangs does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple["Future[Any]", Callable[[], Any]]

WAITING = 64
"""Reads that wait for a thread."""


class PatientThreads:
    """At most ``threads`` of them, started when they are needed, for one event loop. A read that has taken
    longer than ``patience`` seconds hangs."""

    def __init__(self, threads: int, patience: float, waiting: int = WAITING) -> None:
        self._most, self._patience, self._waiting = threads, patience, waiting
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._since: dict[Future[Any], float] = {}
        self._started = self._open = 0

    async def run(
        self, work: Callable[[], T], seconds: float | None = None, drop: Callable[[T], object] | None = None
    ) -> T:
        """What ``work`` returns or raises. Raises ``TimeoutError`` when it takes longer than ``seconds``, or
        than the patience, and at once where no thread can be had. ``drop`` takes what comes when nobody waits
        any more."""
        future: Future[T] = Future()
        self._admit()
        future.add_done_callback(self._done)
        self._jobs.put((future, work))
        try:
            async with asyncio.timeout(self._patience if seconds is None else min(seconds, self._patience)):
                return await asyncio.wrap_future(future)
        except (TimeoutError, asyncio.CancelledError):
            if not future.cancel() and drop is not None:
                future.add_done_callback(lambda found: _drop(found, drop))
            raise

    def post(self, work: Callable[[], object]) -> None:
        """Have ``work`` done some time, whoever hangs; what it raises is nobody's."""
        future: Future[object] = Future()
        future.add_done_callback(self._done)
        with self._turn:
            self._enter()
        self._jobs.put((future, work))

    def close(self) -> None:
        """Let the threads end with what is under way; waits for none."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _admit(self) -> None:
        with self._turn:
            late = time.monotonic() - self._patience
            hanging = sum(since <= late for since in self._since.values())
            if hanging >= self._most:
                raise TimeoutError("every thread that reads it hangs")
            if self._open - hanging >= self._most + self._waiting:
                raise TimeoutError(f"{self._waiting} reads wait for it already")
            self._enter()

    def _enter(self) -> None:
        self._open += 1
        if self._started < min(self._most, self._open):
            self._started += 1
            threading.Thread(target=self._serve, name=f"reads-{self._started}", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            with self._turn:
                self._since[future] = time.monotonic()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def _done(self, future: Future[Any]) -> None:
        with self._turn:
            self._open -= 1
            self._since.pop(future, None)


def _drop(found: Future[T], drop: Callable[[T], object]) -> None:
    if found.exception() is None:
        drop(found.result())
