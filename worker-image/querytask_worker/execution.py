"""The one way in which the worker executes anything: ``interruptible_connection``.

Sources, settings and the user's statements alike go through it, so whatever hangs can be interrupted. It ties
together the pool (a task keeps one connection from its first statement to its end, because temporary tables
live in a connection), the registry and the stop that somebody asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .faults import Stopped
from .log import Log
from .pool import ConnectionPool
from .registry import Registry

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement


class Execution:
    """Runs statements of tasks. A task that was asked to stop runs no further statement."""

    def __init__(self, pool: ConnectionPool[DuckDBPyConnection], registry: Registry, log: Log) -> None:
        self._pool = pool
        self._registry = registry
        self.log = log
        self._lock = threading.Lock()
        self._held: dict[str, DuckDBPyConnection] = {}
        self._stopped: set[str] = set()

    @contextlib.contextmanager
    def interruptible_connection(self, task_id: str, sql: str) -> Iterator[DuckDBPyConnection]:
        """The task's connection, registered as running ``sql`` (for the log: what is run is the caller's
        business).

        Raises ``Stopped`` instead of whatever the statement raised, or of its success, when the task was
        asked to stop before it returned; ``RuntimeError`` when the task runs a statement already.
        """
        connection = self._connection(task_id)
        self._registry.register(connection, task_id, sql)
        interrupted = False
        try:
            self.check(task_id)
            yield connection
        except Exception as error:
            self._registry.returned(task_id)
            if self.stopped(task_id):
                raise Stopped from error
            raise
        finally:
            self._registry.returned(task_id)
            interrupted = self._registry.unregister(task_id)
            if interrupted:
                self.finish(task_id)
        self.check(task_id)

    def run(
        self,
        task_id: str,
        statement: str | Statement,
        parameters: Mapping[str, Any] | None = None,
        *,
        label: str = "",
    ) -> list[tuple[Any, ...]]:
        """Run one statement to its end; all its rows. ``label`` stands for a statement object in the log."""
        with self.interruptible_connection(task_id, label or str(statement)) as connection:
            return connection.execute(statement, dict(parameters or {})).fetchall()

    def script(self, task_id: str, text: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a text that DuckDB's parser may make several statements of, as it does of a PIVOT; the rows of
        the query in it.

        Each statement gets those of the ``parameters`` that it names; their keys are in lower case.
        """
        rows: list[tuple[Any, ...]] = []
        with self.interruptible_connection(task_id, text) as connection:
            for statement in connection.extract_statements(text):
                values = {name: parameters[name.lower()] for name in statement.named_parameters}
                fetched = connection.execute(statement, values).fetchall()
                rows = rows if statement.type.name == "TRANSACTION" else fetched
        return rows

    def progress(self, task_id: str) -> float:
        """How far the task's running statement is, in percent; negative where the engine cannot tell."""
        record = self._registry.get(task_id)
        with self._lock:
            connection = self._held.get(task_id)
        if record is None or connection is None:
            return -1.0
        return float(connection.query_progress())

    def stop(self, task_id: str) -> None:
        """Ask the task to stop: its running statement is interrupted until it returns, and it starts no
        other.
        """
        with self._lock:
            self._stopped.add(task_id)
        self._registry.interrupt(task_id)

    def stopped(self, task_id: str) -> bool:
        """Whether the task was asked to stop."""
        with self._lock:
            return task_id in self._stopped

    def check(self, task_id: str) -> None:
        """Raises ``Stopped`` when the task was asked to stop: for steps that execute no statement."""
        if self.stopped(task_id):
            raise Stopped

    def finish(self, task_id: str) -> None:
        """Give the task's connection up; it is discarded, never lent to another task.

        Without one this does nothing.
        """
        with self._lock:
            connection = self._held.pop(task_id, None)
        if connection is not None:
            self._pool.discard_connection(connection)

    def close(self) -> int:
        """Check for leaks: entries still registered and connections still lent are logged as errors and
        counted.
        """
        return self._registry.close() + self._pool.close()

    def _connection(self, task_id: str) -> DuckDBPyConnection:
        with self._lock:
            held = self._held.get(task_id)
        if held is not None:
            return held
        connection = self._pool.acquire()
        with self._lock:
            self._held[task_id] = connection
        return connection
