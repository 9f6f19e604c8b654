"""The one writer of the history: a thread with one connection, where many callers share one transaction.

For ``history``. A durable commit costs a flush of the disk, whether it holds one step or fifty; so
everything that has come in while the last flush was under way goes into the next one. Nobody hears of
success before the flush is done. An item that fails takes the others with it only for a moment: the
transaction is rolled back, and each is tried alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa

from querytask.adapters.store import failures

T = TypeVar("T")
Work = Callable[[sa.Connection], Any]

MOST = 100
"""How many items share a transaction at most."""
BUDGET_SECONDS = 0.025
"""For how long a transaction takes in items; what is left goes into the next one, so that no waiter and no
other process starves."""


class _Item:
    __slots__ = ("future", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.future: Future[Any] = Future()


class Writer:
    """Runs work on the writing connection, in the order in which it came."""

    def __init__(self, engine: sa.Engine, where: failures.Where) -> None:
        self._engine, self._where = engine, where
        self._connection: sa.Connection | None = None
        self._inbox: SimpleQueue[_Item | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="history-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sa.Connection], T]) -> Future[T]:
        """Run ``work`` in a transaction; the future is done when that transaction is durable.

        ``work`` may be run a second time, after its first run was rolled back: it has no effect but on the
        database.
        """
        item = _Item(work)
        with self._gate:
            if self._closed:
                raise failures.closed(self._where)
            self._inbox.put(item)
        return item.future

    def close(self) -> None:
        """Finish what has come in, then end the thread; safe to repeat."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        waiting: deque[_Item] = deque()
        more = True
        while more or waiting:
            if not waiting:
                more = self._take(waiting, wait=True)
            while more and len(waiting) < MOST and (more := self._take(waiting, wait=False)):
                if self._inbox.empty():
                    break
            if waiting:
                self._write(waiting)
        self._drop_connection()

    def _take(self, waiting: deque[_Item], *, wait: bool) -> bool:
        """Move one item to ``waiting``; false when there will be no more."""
        try:
            item = self._inbox.get(block=wait)
        except Empty:
            return True
        if item is None:
            return False
        if item.future.set_running_or_notify_cancel():
            waiting.append(item)
        return True

    def _write(self, waiting: deque[_Item]) -> None:
        taken: list[_Item] = []
        try:
            answers = self._transaction(waiting, taken)
        except BaseException as error:
            self._failed(taken, error)
        else:
            for item, answer in zip(taken, answers, strict=True):
                item.future.set_result(answer)

    def _failed(self, taken: list[_Item], error: BaseException) -> None:
        if len(taken) == 1 or failures.is_fault(error):
            for item in taken:
                item.future.set_exception(error)
            return
        for item in taken:
            self._write(deque([item]))

    def _transaction(self, waiting: deque[_Item], taken: list[_Item]) -> list[Any]:
        answers = []
        until = time.monotonic() + BUDGET_SECONDS
        try:
            with failures.translated(self._where), self._begin():
                while waiting and (not taken or time.monotonic() < until):
                    taken.append(waiting.popleft())
                    answers.append(taken[-1].work(self._open()))
        except BaseException as error:
            if not taken:
                taken.extend(waiting)
                waiting.clear()
            if failures.lasting(error):
                self._drop_connection()
            raise
        return answers

    def _begin(self) -> sa.RootTransaction:
        kept = self._connection is not None
        try:
            return self._open().begin()
        except sa.exc.DBAPIError as error:
            # A server was started anew since the last write: nothing is lost by asking it once more.
            if not kept or not error.connection_invalidated:
                raise
            self._drop_connection()
            return self._open().begin()

    def _open(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sa.exc.SQLAlchemyError:
                pass
