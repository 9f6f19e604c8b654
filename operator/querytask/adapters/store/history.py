"""The ``Store``: puts writer, readers, steps and queries together, on either kind of database. ``opening``
makes it."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, overload

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import purge, queries, search, steps
from querytask.adapters.store.api_tables import ApiTables
from querytask.adapters.store.columns import to_millisecond
from querytask.adapters.store.database import Database
from querytask.adapters.store.purge import Purged
from querytask.adapters.store.readers import Readers
from querytask.adapters.store.records import (
    GONE,
    AttemptRecord,
    DueExport,
    Ending,
    ExportRecord,
    HistoryFigures,
    Moment,
    PhaseFigures,
    StoredTask,
    TaskKey,
    TaskRecord,
    TaskSummary,
    ToldTransition,
    TransitionRecord,
    as_it_is,
)
from querytask.adapters.store.writer import Writer
from querytask.core.collection_facts import TaskState
from querytask.core.listing import Page, PageRequest, TaskFilter
from querytask.core.retention import KeptTask

T = TypeVar("T")

READERS = 3
LISTS = 2
"""Lists, counts and figures that are answered at a time, beside the readers."""
SEARCH_SECONDS = 2.0
"""How long a list may take that somebody else chose the filter and the order of."""
UIDS_SECONDS = 10.0
"""The same for a list of tasks that are named one by one: so many need longer on a busy node."""


def utc_now() -> Moment:
    """The time of this machine."""
    return dt.datetime.now(dt.UTC)


class History:
    """The history in one database; what each method does, ``Store`` says."""

    def __init__(
        self, database: Database, clock: Callable[[], Moment], search_seconds: float, *, migrating: bool
    ) -> None:
        self._database, self._clock, self._search_seconds = database, clock, search_seconds
        self._migrating, self._seen = migrating, -1
        self._damage: errors.StoreCorrupt | None = None
        self._writer = Writer(database.writing(), database.where)
        engine = database.reading(READERS + LISTS)
        self._readers = Readers(engine, database.where, READERS, LISTS)
        self.api = ApiTables(self._write)

    async def record(
        self,
        task: TaskRecord,
        attempt: AttemptRecord | None = None,
        export: ExportRecord | None = None,
        transitions: Sequence[TransitionRecord] = (),
    ) -> StoredTask:
        step, now = steps.Step(task, attempt, export, transitions), self._now()
        return await self._write(lambda connection: steps.record(connection, step, now))

    async def close_deleted(self, uid: str, at: Moment, ending: Ending = GONE) -> StoredTask | None:
        now = self._now()
        return await self._write(lambda connection: steps.close_deleted(connection, uid, at, ending, now))

    async def reopen(self, uid: str, now: Moment) -> StoredTask | None:
        return await self._write(lambda connection: steps.reopen(connection, uid, to_millisecond(now)))

    async def mark_export(self, uid: str, state: str, at: Moment) -> None:
        await self._write(lambda connection: steps.mark_export(connection, uid, state, at))

    async def correct_expiry(self, uid: str, expires_at: Moment) -> None:
        await self._write(lambda connection: steps.correct_expiry(connection, uid, expires_at))

    async def get(self, uid: str) -> StoredTask | None:
        return await self._readers.ask(lambda connection: queries.task(connection, uid))

    async def transitions(self, uid: str) -> list[TransitionRecord]:
        return await self._readers.ask(lambda connection: queries.steps(connection, uid))

    async def open_tasks(self, namespace: str) -> list[TaskKey]:
        return await self._readers.ask(lambda connection: queries.open_tasks(connection, namespace))

    async def find_open(self, namespace: str, name: str) -> list[str]:
        return await self._readers.ask(lambda connection: queries.find_open(connection, namespace, name))

    async def present_tasks(self, namespace: str, after: str = "", limit: int = 1000) -> list[TaskKey]:
        return await self._readers.ask(
            lambda connection: queries.present_tasks(connection, namespace, after, limit)
        )

    async def states(self, uids: Collection[str]) -> Mapping[str, TaskState]:
        return await self._readers.ask(lambda connection: queries.states(connection, uids))

    async def due_exports(self, now: Moment, limit: int = 100) -> list[DueExport]:
        return await self._readers.ask(lambda connection: queries.due_exports(connection, now, limit))

    async def ttl_due(self, now: Moment, limit: int = 100) -> list[TaskKey]:
        return await self._readers.ask(lambda connection: queries.ttl_due(connection, now, limit))

    async def next_ttl(self) -> Moment | None:
        return await self._readers.ask(queries.next_ttl)

    async def phases(self) -> Mapping[str, PhaseFigures]:
        return await self._readers.ask(queries.phases)

    @overload
    async def search(self, wanted: TaskFilter, page: PageRequest) -> Page[TaskSummary]: ...

    @overload
    async def search(
        self, wanted: TaskFilter, page: PageRequest, shown: Callable[[TaskSummary], T]
    ) -> Page[T]: ...

    async def search(
        self, wanted: TaskFilter, page: PageRequest, shown: Callable[[TaskSummary], Any] = as_it_is
    ) -> Page[Any]:
        limit = self._search_seconds if wanted.uids is None else max(self._search_seconds, UIDS_SECONDS)
        return await self._readers.ask_for(
            limit, lambda connection: search.search(connection, wanted, page, shown)
        )

    async def count(self, wanted: TaskFilter) -> int:
        return await self._readers.ask_for(
            self._search_seconds, lambda connection: search.count(connection, wanted)
        )

    async def latest(self, namespace: str, name: str) -> str | None:
        return await self._readers.ask(lambda connection: queries.latest(connection, namespace, name))

    async def transitions_after(self, namespace: str, after: int, limit: int = 100) -> list[ToldTransition]:
        return await self._readers.ask(
            lambda connection: queries.transitions_after(connection, namespace, after, limit)
        )

    async def last_transition(self) -> int:
        return await self._readers.ask(queries.last_transition)

    async def highest_given(self) -> int:
        return await self._readers.ask(queries.highest_given)

    async def figures(self, namespace: str) -> HistoryFigures:
        return await self._readers.ask_for(
            self._search_seconds, lambda connection: queries.figures(connection, namespace)
        )

    async def kept_since(self, until: Moment, after: KeptTask | None, limit: int) -> list[KeptTask]:
        return await self._readers.ask(lambda connection: purge.candidates(connection, until, after, limit))

    async def purge(self, uids: Sequence[str], now: Moment, kept: dt.timedelta) -> Purged:
        began: list[float] = []
        ended: list[float] = []

        def work(connection: sa.Connection) -> Purged:
            began.append(time.monotonic())
            return purge.purge(connection, uids, now, kept)

        future = self._writer.submit(work)
        # On the writer's thread, right after the flush: when this comes back to the loop is another matter.
        future.add_done_callback(lambda _: ended.append(time.monotonic()))
        purged = await asyncio.wrap_future(future)
        return replace(purged, seconds=ended[0] - began[-1])

    async def ping(self) -> None:
        self._database.check_there()
        if (damage := self._damage or self._readers.damage) is not None:
            raise damage
        now = self._now()

        def beat(connection: sa.Connection) -> int:
            steps.beat(connection, now)
            return self._database.seen(connection)

        seen = await self._write(beat)
        if self._migrating and seen != self._seen:
            await asyncio.to_thread(self._database.note, seen)
            self._seen = seen

    async def integrity_check(self) -> None:
        await self._readers.ask(self._database.check)

    async def backup(self, path: Path) -> None:
        await self._readers.run(lambda: self._database.backup(path))

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.close()
        self._writer.close()

    def _now(self) -> Moment:
        return to_millisecond(self._clock())

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        try:
            return await asyncio.wrap_future(self._writer.submit(work))
        except errors.StoreCorrupt as error:
            self._damage = error
            raise
