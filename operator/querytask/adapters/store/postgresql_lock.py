"""Who may write a history on PostgreSQL: the one operator whose session holds a lock of the database.

For the composition root, in place of ``HistoryLock``. The server lets go of the lock when the session ends,
however it ends. A session can end while its operator lives: when the server is started anew, or cannot be
reached. So whoever holds the lock also watches it (``lost``), and stops writing when it is gone. Until both
have noticed, two operators may believe that they hold it; what they write is serialised all the same, and
each write is safe to repeat and to reorder.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from querytask import errors
from querytask.adapters.store import postgresql, postgresql_failures
from querytask.adapters.store.address import Address
from querytask.adapters.store.postgresql import SCHEMA_KEY, Key

ANSWER_SECONDS = 5.0
"""How long the server may take to answer for the lock."""
_TRY = f"SELECT pg_try_advisory_lock({Key.OPERATOR.value}, {SCHEMA_KEY})"
_HELD = f"""
SELECT {{what}} FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = {Key.OPERATOR.value}
    AND objid = ({SCHEMA_KEY}::bigint & 4294967295)::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_MINE = _HELD.format(what="count(*)") + " AND pid = pg_backend_pid()"
_HOLDER = _HELD.format(
    what="application_name, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
)
_NAMED = f"{postgresql.OPERATOR}/"


class DatabaseLock:
    """The lock on the history at ``url``; ``holder`` is the name that others are shown, such as the pod's.

    Raises ``StoreRefused`` for a URL that is none.
    """

    def __init__(self, url: str, holder: str) -> None:
        self._address, self._name = Address(url), f"{_NAMED}{holder}"
        self._session: Any = None
        self._held = False
        self._gate = threading.RLock()

    @property
    def held(self) -> bool:
        """Whether we have it, as far as is known: ``check`` asks."""
        return self._held

    def acquire(self) -> bool:
        """Take the lock if it is free; false when another holds it. Raises ``StoreUnavailable`` when there
        is no way to ask."""
        with self._gate:
            if self._held and self.check():
                return True
            with self._asking() as session:
                self._held = bool(session.execute(_TRY).fetchone()[0])
            return self._held

    def check(self) -> bool:
        """Ask the server whether we have it; false when it does not answer, for then nobody knows."""
        with self._gate:
            if not self._held:
                return False
            try:
                with self._asking() as session:
                    self._held = session.execute(_MINE).fetchone()[0] == 1
            except errors.StoreUnavailable:
                self._held = False
            return self._held

    async def wait(self, poll_seconds: float = 1.0) -> None:
        """Come back when we have the lock, however long another holds it or the server is away."""
        while True:
            with contextlib.suppress(errors.StoreUnavailable):
                if await asyncio.to_thread(self.acquire):
                    return
            await asyncio.sleep(poll_seconds)

    async def lost(self, poll_seconds: float = 2.0) -> None:
        """Come back when we have the lock no more: the session has ended, or the server does not answer.
        Whoever holds the history must then stop writing, and may ``wait`` again."""
        while await asyncio.to_thread(self.check):  # noqa: ASYNC110 -- a lost session tells nobody
            await asyncio.sleep(poll_seconds)

    def holder(self) -> str:
        """Who has the lock, as far as it is told: for a sentence such as "waits for …"."""
        try:
            with self._gate, self._asking() as session:
                name, since = session.execute(_HOLDER).fetchone() or ("", "")
        except errors.StoreError:
            return "an unknown holder"
        told = str(name).removeprefix(_NAMED)
        return f"{told}, since {since}" if told else "an unknown holder"

    def release(self) -> None:
        """Let go; safe to repeat."""
        import psycopg

        with self._gate:
            if self._session is not None:
                # A server takes a moment to see that a session has ended; the next operator need not wait.
                with contextlib.suppress(psycopg.Error):
                    self._session.execute("SELECT pg_advisory_unlock_all()")
            self._drop()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        import psycopg

        try:
            if self._session is None:
                self._session = postgresql.connect(self._address, self._name, ANSWER_SECONDS)
                self._session.answer_seconds = ANSWER_SECONDS + 1  # its own word comes first
                self._session.execute(f"SET statement_timeout = {int(ANSWER_SECONDS * 1000)}")
            yield self._session
        except psycopg.Error as error:
            self._drop()
            raise postgresql_failures.unavailable(error, self._address) from error

    def _drop(self) -> None:
        session, self._session, self._held = self._session, None, False
        if session is not None:
            session.close()
