"""Which connection runs which task's statement at this moment, so that any thread can interrupt it.

For the engine process; the supervisor holds no connection. A cold worker registers one task at a time, a
worker that runs several tasks registers one entry for each. ``interruptible_connection`` (module
``execution``) is what registers; nothing else does.

DuckDB drops an interrupt that arrives while a statement is still parsed, bound or planned, so one is never
enough: ``interrupt`` returns at once, and a thread of the registry repeats it until the statement has
returned.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .log import Log

REPEAT_SECONDS = 0.05
PREVIEW_CHARACTERS = 200


class Interruptible(Protocol):
    """What the registry needs of a connection."""

    def interrupt(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One running statement."""

    connection: Interruptible
    task_id: str
    thread_id: int
    """The thread that runs the statement."""
    started_at: float
    """On the registry's clock, in seconds."""
    sql_preview: str
    """The beginning of the statement on one line; parameters' values are not in it."""


class _Entry:
    def __init__(self, record: ConnectionRecord) -> None:
        self.record = record
        self.returned = False
        self.interrupted = False


class Registry:
    """Entries by task id, at most one for each; every method may be called from any thread."""

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: dict[str, _Entry] = {}
        self._repeater: threading.Thread | None = None
        self._sweeper: threading.Thread | None = None
        self._closed = False

    def register(self, connection: Interruptible, task_id: str, sql: str) -> ConnectionRecord:
        """Note that the calling thread is about to run ``sql``.

        Raises ``RuntimeError`` when the task runs one already.
        """
        record = ConnectionRecord(connection, task_id, threading.get_ident(), self._clock(), preview_of(sql))
        with self._changed:
            if task_id in self._entries:
                self._log.error(
                    "a second statement of the same task", task_id=task_id, sql=record.sql_preview
                )
                raise RuntimeError(
                    f"task {task_id!r} runs a statement already: statements of one task are never nested"
                )
            self._entries[task_id] = _Entry(record)
        self._log.info("registered", task_id=task_id, sql=record.sql_preview)
        return record

    def unregister(self, task_id: str) -> bool:
        """Forget the task's statement; True when it had been interrupted, so that its connection must not be
        used again.
        """
        with self._changed:
            entry = self._entries.pop(task_id, None)
            self._changed.notify_all()
        if entry is None:
            self._log.warning("unregistered a task that is not registered", task_id=task_id)
            return False
        seconds = round(self._clock() - entry.record.started_at, 6)
        self._log.info("unregistered", task_id=task_id, seconds=seconds, interrupted=entry.interrupted)
        return entry.interrupted

    def returned(self, task_id: str) -> None:
        """Note that the statement has returned: from now on its entry may be swept, and is no longer
        interrupted.
        """
        with self._changed:
            if task_id in self._entries:
                self._entries[task_id].returned = True
                self._changed.notify_all()

    def get(self, task_id: str) -> ConnectionRecord | None:
        """The task's running statement."""
        with self._changed:
            entry = self._entries.get(task_id)
        return entry.record if entry else None

    def get_active_count(self) -> int:
        """How many entries there are."""
        with self._changed:
            return len(self._entries)

    def get_all_tasks(self) -> list[ConnectionRecord]:
        """All entries, the longest running first."""
        with self._changed:
            records = [entry.record for entry in self._entries.values()]
        return sorted(records, key=lambda record: record.started_at)

    def interrupt(self, task_id: str) -> bool:
        """Interrupt the task's statement now and again until it returns; True when the first one reached a
        live connection.
        """
        with self._changed:
            entry = self._entries.get(task_id)
            if entry is None or entry.returned:
                self._log.info("nothing to interrupt", task_id=task_id)
                return False
            entry.interrupted = True
            reached = self._reach(entry)
            self._ensure_repeater()
            self._changed.notify_all()
        self._log.info("interrupted", task_id=task_id, reached=reached)
        return reached

    def cleanup_stale(self, max_age: float, ignore_suffix: str | None = None) -> list[str]:
        """Drop entries older than ``max_age`` seconds whose statement has returned; the task ids that were
        dropped.

        An entry whose statement still runs is never dropped, however old; nor is one whose task id ends in
        ``ignore_suffix``. A statement counts as returned when that was noted, or when the thread that ran it
        is no more.
        """
        alive = {thread.ident for thread in threading.enumerate()}
        with self._changed:
            now = self._clock()
            stale = [
                task_id
                for task_id, entry in self._entries.items()
                if now - entry.record.started_at > max_age
                and (entry.returned or entry.record.thread_id not in alive)
                and not (ignore_suffix and task_id.endswith(ignore_suffix))
            ]
            for task_id in stale:
                del self._entries[task_id]
            self._changed.notify_all()
        for task_id in stale:
            self._log.warning("dropped a stale entry", task_id=task_id, max_age=max_age)
        return stale

    def start_sweep(self, interval: float, max_age: float, ignore_suffix: str | None = None) -> None:
        """Call ``cleanup_stale`` every ``interval`` seconds until ``close``; a second call does nothing."""
        with self._changed:
            if self._sweeper is None and not self._closed:
                arguments = (interval, max_age, ignore_suffix)
                self._sweeper = threading.Thread(
                    target=self._sweep, args=arguments, name="registry-sweep", daemon=True
                )
                self._sweeper.start()

    def close(self) -> int:
        """End the registry's threads; the number of entries that were left, which is 0 unless something
        leaks.
        """
        with self._changed:
            self._closed = True
            left = sorted(self._entries)
            self._changed.notify_all()
            threads = [thread for thread in (self._repeater, self._sweeper) if thread is not None]
        for thread in threads:
            thread.join()
        for task_id in left:
            self._log.error("still registered at the end", task_id=task_id)
        return len(left)

    def _ensure_repeater(self) -> None:
        if self._repeater is None and not self._closed:
            self._repeater = threading.Thread(target=self._repeat, name="registry-interrupt", daemon=True)
            self._repeater.start()

    def _pending(self) -> list[_Entry]:
        return [entry for entry in self._entries.values() if entry.interrupted and not entry.returned]

    def _repeat(self) -> None:
        with self._changed:
            while not self._closed:
                for entry in self._pending():
                    self._reach(entry)
                self._changed.wait(REPEAT_SECONDS if self._pending() else None)

    def _reach(self, entry: _Entry) -> bool:
        try:
            entry.record.connection.interrupt()
        except Exception as error:  # a closed connection raises: there is nothing to stop any more
            self._log.warning("interrupt failed", task_id=entry.record.task_id, error=str(error))
            return False
        return True

    def _sweep(self, interval: float, max_age: float, ignore_suffix: str | None) -> None:
        with self._changed:
            while not self._changed.wait_for(lambda: self._closed, timeout=interval):
                self.cleanup_stale(max_age, ignore_suffix)


def preview_of(sql: str) -> str:
    """The beginning of ``sql`` with white space collapsed."""
    words = " ".join(sql[: PREVIEW_CHARACTERS * 4].split())
    return words if len(words) <= PREVIEW_CHARACTERS else words[: PREVIEW_CHARACTERS - 1] + "…"
