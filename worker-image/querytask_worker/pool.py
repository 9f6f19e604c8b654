"""A small pool of connections, each to a database of its own, so that nothing of one task is left for the
next.

A connection that ran a task, or that was interrupted, is discarded: closed, never handed out again. The pool
refills to its minimum and wakes whoever waits for a connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .log import Log


class Closable(Protocol):
    """What the pool needs of a connection."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class PoolClosed(RuntimeError):
    """A connection was asked of a pool that has been closed."""


class ConnectionPool(Generic[C]):
    """Holds ``minimum`` connections ready, lends at most ``maximum`` at a time; safe under threads."""

    def __init__(self, connect: Callable[[], C], log: Log, *, minimum: int = 0, maximum: int = 1) -> None:
        if not 0 <= minimum <= maximum or maximum < 1:
            raise ValueError(
                f"minimum must be from 0 to maximum, and maximum at least 1, not {minimum} and {maximum}"
            )
        self._connect = connect
        self._log = log
        self._minimum = minimum
        self._maximum = maximum
        self._changed = threading.Condition()
        self._idle: list[C] = []
        self._lent: list[C] = []
        self._opening = 0
        self._closed = False
        self._refill()

    @property
    def idle_count(self) -> int:
        """How many connections wait to be lent."""
        with self._changed:
            return len(self._idle)

    @property
    def lent_count(self) -> int:
        """How many connections are lent."""
        with self._changed:
            return len(self._lent)

    def acquire(self, timeout: float | None = None) -> C:
        """A connection that nobody else has; waits for one, at most ``timeout`` seconds.

        Raises ``TimeoutError``, ``PoolClosed``, or whatever opening a connection raises.
        """
        with self._changed:
            if not self._changed.wait_for(self._available, timeout):
                raise TimeoutError(
                    f"no connection became free within {timeout} s: all {self._maximum} are lent"
                )
            if self._closed:
                raise PoolClosed("the pool is closed")
            if self._idle:
                connection = self._idle.pop()
                self._lent.append(connection)
                return connection
            self._opening += 1
        return self._open()

    def release(self, connection: C) -> None:
        """Take a lent connection back to lend it again."""
        with self._changed:
            self._take_back(connection)
            closed = self._closed
            if not closed:
                self._idle.append(connection)
            self._changed.notify()
        if closed:
            self._close(connection)

    def discard_connection(self, connection: C) -> None:
        """Take a lent connection back, close it, and refill the pool."""
        with self._changed:
            self._take_back(connection)
            self._changed.notify()
        self._close(connection)
        self._log.info("discarded a connection")
        self._refill()

    def close(self) -> int:
        """Close the idle connections and lend no more; the number that are still lent, which is 0 unless
        something leaks.
        """
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            lent = len(self._lent)
            self._changed.notify_all()
        for connection in idle:
            self._close(connection)
        if lent:
            self._log.error("connections still lent at the end", count=lent)
        return lent

    def _available(self) -> bool:
        return self._closed or bool(self._idle) or len(self._lent) + self._opening < self._maximum

    def _open(self) -> C:
        try:
            connection = self._connect()
        except BaseException:
            with self._changed:
                self._opening -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._opening -= 1
            self._lent.append(connection)
        return connection

    def _refill(self) -> None:
        while True:
            with self._changed:
                if self._closed or len(self._idle) + len(self._lent) + self._opening >= self._minimum:
                    return
                self._opening += 1
            self.release(self._open())

    def _take_back(self, connection: C) -> None:
        if not any(connection is lent for lent in self._lent):
            raise ValueError("only a connection that is lent can be given back")
        self._lent = [lent for lent in self._lent if lent is not connection]

    def _close(self, connection: C) -> None:
        try:
            connection.close()
        except Exception as error:  # closing is best effort: the process or its cgroup ends soon
            self._log.warning("closing a connection failed", error=str(error))
