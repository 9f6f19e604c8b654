"""The ``Store`` on SQLite: puts writer, readers, steps and queries together. The composition root opens it,
everybody else is given it."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import (
    backup,
    failures,
    filesystem,
    migrate,
    purge,
    queries,
    search,
    sqlite,
    steps,
    witness,
)
from querytask.adapters.store.api_tables import ApiTables
from querytask.adapters.store.columns import to_millisecond
from querytask.adapters.store.interface import Store
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
)
from querytask.adapters.store.writer import Writer
from querytask.core.collection_facts import TaskState
from querytask.core.listing import Page, PageRequest, TaskFilter
from querytask.core.retention import KeptTask

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long a writer waits for another process that holds the file before it says ``Locked``."""
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


async def open_history(
    directory: Path,
    clock: Callable[[], Moment] = utc_now,
    *,
    migrating: bool = True,
    busy_seconds: float = BUSY_SECONDS,
    search_seconds: float = SEARCH_SECONDS,
) -> Store:
    """Open the history in ``directory``, make it where there is none, and bring it to this release's schema.

    A process beside the operator passes ``migrating=False``: it finds the schema as it should be or is
    refused. A list that takes longer than ``search_seconds`` raises ``StoreTooSlow``.

    Raises ``StoreRefused`` for a network file system or an SQLite that is too old, ``StoreSchemaTooNew``,
    ``StoreCorrupt``, and ``StoreUnavailable`` when the directory or the file cannot be read and written.
    """
    return await asyncio.to_thread(_open, directory, clock, migrating, busy_seconds, search_seconds)


def _open(
    directory: Path,
    clock: Callable[[], Moment],
    migrating: bool,
    busy_seconds: float,
    search_seconds: float,
) -> Store:
    filesystem.check_local(directory)
    path = directory / sqlite.FILE_NAME
    if migrating:
        _create(path)
    prepare = migrate.migrate if migrating else migrate.check_current
    engine = sqlite.writing(path, busy_seconds)
    with failures.translated(path), engine.connect() as connection, connection.begin():
        prepare(connection)
    return SqliteHistory(path, clock, busy_seconds, search_seconds, migrating=migrating)


def _create(path: Path) -> None:
    # Only where there is none: a process that closes any descriptor of a database loses SQLite's locks on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o660))
    except FileExistsError:
        pass
    except OSError as error:
        fault = "Full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "ReadOnly"
        raise errors.StoreUnavailable(f"{path} must be writable: {error.strerror}", fault) from error


class SqliteHistory:
    """The history in one SQLite file; what each method does, ``Store`` says."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], Moment],
        busy_seconds: float,
        search_seconds: float,
        *,
        migrating: bool,
    ) -> None:
        self._search_seconds = search_seconds
        self._migrating, self._seen = migrating, -1
        self._damage: errors.StoreCorrupt | None = None
        self._path, self._clock, self._busy_seconds = path, clock, busy_seconds
        self._writer = Writer(sqlite.writing(path, busy_seconds), path)
        engine = sqlite.reading(path, busy_seconds, READERS + LISTS)
        self._readers = Readers(engine, path, READERS, LISTS)
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

    async def search(self, wanted: TaskFilter, page: PageRequest) -> Page[TaskSummary]:
        limit = self._search_seconds if wanted.uids is None else max(self._search_seconds, UIDS_SECONDS)
        return await self._readers.ask_for(limit, lambda connection: search.search(connection, wanted, page))

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
        if not self._path.exists():
            raise errors.StoreUnavailable(f"{self._path} is gone: somebody removed it while it was in use")
        if (damage := self._damage or self._readers.damage) is not None:
            raise damage
        now = self._now()

        def beat(connection: sa.Connection) -> int:
            steps.beat(connection, now)
            return witness.steps(connection)

        seen = await self._write(beat)
        if self._migrating and seen != self._seen:
            await asyncio.to_thread(witness.write, self._path.parent, seen)
            self._seen = seen

    async def integrity_check(self) -> None:
        await self._readers.ask(lambda connection: backup.check(connection, self._path))

    async def backup(self, path: Path) -> None:
        await self._readers.run(lambda: backup.copy(self._path, path, self._busy_seconds))

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
