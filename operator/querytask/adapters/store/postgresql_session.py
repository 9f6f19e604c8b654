"""A session on a PostgreSQL server that does not wait for ever. For ``postgresql``, which imports this only
where a URL is used.

The driver waits for an answer as long as the connection stands; and that of a server whose machine is
suspended, or whose disk hangs, may stand for hours. Nobody who waits so can be told that the history is away.
"""

from __future__ import annotations

from typing import Any

import psycopg

_LOOK_SECONDS = 0.1


class Session(psycopg.Connection[Any]):
    """One session; it ends where the server leaves it without an answer."""

    answer_seconds: float = 10.0
    """How long the server may take for one statement, or for a commit."""

    def wait(self, gen: Any, interval: float = _LOOK_SECONDS, timeout: float | None = None) -> Any:
        """Everything that the server is waited for goes through here. Raises ``psycopg.OperationalError``."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors._WaitTimeout as error:
            # What was asked may still be done: nobody must use this session again, or wait for its end.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.answer_seconds:g} s") from error
