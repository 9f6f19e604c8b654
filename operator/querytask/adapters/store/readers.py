"""The readers of the history: a few threads with a connection each that cannot write; some of them for lists
alone, so that however many lists are asked for, the question after one task finds a reader.

For ``history``. A read is one short transaction: one that stays open would hold back the checkpoint and let
the write-ahead log grow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import database, failures

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long a list may wait for its turn: whoever asked for it has given up by then, or will ask again."""


class Readers:
    """Runs questions on reading connections, off the event loop: ``threads`` at a time, and ``lists`` of what
    somebody else chose. ``engine`` has a connection for each."""

    def __init__(
        self,
        engine: sa.Engine,
        where: failures.Where,
        threads: int,
        lists: int,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._patience = patience
        self._engine, self._where = engine, where
        self.damage: errors.StoreCorrupt | None = None
        """What a question has met of a damaged file: it does not mend by itself."""
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(
            threads, thread_name_prefix="history-reader"
        )
        self._lists = ThreadPoolExecutor(lists, thread_name_prefix="history-lists")

    async def ask(self, question: Callable[[sa.Connection], T]) -> T:
        """The answer of ``question``, which is run in a transaction of its own."""
        return await self.run(lambda: self._answer(question))

    async def ask_for(self, seconds: float, question: Callable[[sa.Connection], T]) -> T:
        """The same for a question that somebody else chose: raises ``StoreTooSlow`` when it takes longer, and
        ``StoreUnavailable`` when it has waited too long for others of its kind."""
        asked = time.monotonic()

        def limited(connection: sa.Connection) -> T:
            with database.limited(connection, seconds), failures.too_slow(seconds):
                return question(connection)

        def in_time() -> T:
            if time.monotonic() - asked > self._patience:
                raise failures.busy(self._where, self._patience)
            return self._answer(limited)

        return await self._run(self._lists, in_time)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` on one of the threads."""
        return await self._run(self._pool, work)

    def close(self) -> None:
        """Wait for what is under way and let go of the connections; safe to repeat."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
            self._lists.shutdown()
            self._engine.dispose()

    async def _run(self, pool: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if pool is None or self._pool is None:
            raise failures.closed(self._where)
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _answer(self, question: Callable[[sa.Connection], T]) -> T:
        try:
            with failures.translated(self._where), self._engine.connect() as connection, connection.begin():
                return question(connection)
        except Exception as error:
            if isinstance(error, errors.StoreCorrupt):
                self.damage = error
            if failures.is_fault(error) and failures.lasting(error):
                self._engine.dispose()
            raise
