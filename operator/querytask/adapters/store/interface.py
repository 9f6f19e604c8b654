"""What the rest of the operator may ask of the history. A ``Protocol``, so that nobody needs the database
library to say what they need.

Every method is safe to repeat. Each raises ``StoreUnavailable`` when the history cannot be read or written
now, and ``StoreCorrupt`` when it is damaged. A write that raised has changed nothing; only where the fault is
``Away`` the server may have committed it and its answer was lost: it is repeated, and comes to the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

from querytask.adapters.store.api_tables import ApiTables
from querytask.adapters.store.purge import Purged
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
from querytask.core.collection_facts import TaskState
from querytask.core.listing import Page, PageRequest, TaskFilter
from querytask.core.retention import KeptTask

T = TypeVar("T")


class Store(Protocol):
    """The history of one operator."""

    api: ApiTables
    """What the API alone writes."""

    async def record(
        self,
        task: TaskRecord,
        attempt: AttemptRecord | None = None,
        export: ExportRecord | None = None,
        transitions: Sequence[TransitionRecord] = (),
    ) -> StoredTask:
        """Write one step of a task in one transaction, durably, and return the rows as they then stand.

        Which fields win is said in ``records``. A terminal phase never changes: compare the phase of what
        comes back.
        """

    async def close_deleted(self, uid: str, at: Moment, ending: Ending = GONE) -> StoredTask | None:
        """Note that the object is gone since ``at``, and give the row ``ending`` unless it has its end;
        ``None`` when there is no row."""

    async def reopen(self, uid: str, now: Moment) -> StoredTask | None:
        """Take back that the object is gone, for it was seen: ``Deleted`` gives way to the phase before it,
        every other end stays."""

    async def get(self, uid: str) -> StoredTask | None:
        """Everything of one task but its transitions."""

    async def transitions(self, uid: str) -> list[TransitionRecord]:
        """The steps of a task, in the order in which they were written."""

    async def open_tasks(self, namespace: str) -> list[TaskKey]:
        """Tasks that have no end yet and whose object is not known to be deleted."""

    async def find_open(self, namespace: str, name: str) -> list[str]:
        """The uids of the open tasks of that name: more than one when an object was deleted and made anew
        unseen."""

    async def present_tasks(self, namespace: str, after: str = "", limit: int = 1000) -> list[TaskKey]:
        """All tasks whose object is not known to be deleted, finished ones too, by uid, from the first one
        after ``after``."""

    async def states(self, uids: Collection[str]) -> Mapping[str, TaskState]:
        """What the collector must know of those tasks; a uid without a row is missing in the answer."""

    async def due_exports(self, now: Moment, limit: int = 100) -> list[DueExport]:
        """Exports of finished tasks whose time is over and whose files were not removed yet, the earliest
        first."""

    async def mark_export(self, uid: str, state: str, at: Moment) -> None:
        """The files are gone since ``at``; ``NotApplicable`` stays, every other state becomes ``state``."""

    async def correct_expiry(self, uid: str, expires_at: Moment) -> None:
        """The published manifest names another time than the row does: the manifest is right."""

    async def ttl_due(self, now: Moment, limit: int = 100) -> list[TaskKey]:
        """Tasks whose ``ttl_due_at`` has come and whose object is not known to be deleted, the earliest
        first."""

    async def next_ttl(self) -> Moment | None:
        """The earliest ``ttl_due_at`` of an object that is there."""

    async def phases(self) -> Mapping[str, PhaseFigures]:
        """Tasks by phase, of those whose object is not known to be deleted: for the metrics, at each
        scrape."""

    @overload
    async def search(self, wanted: TaskFilter, page: PageRequest) -> Page[TaskSummary]: ...

    @overload
    async def search(
        self, wanted: TaskFilter, page: PageRequest, shown: Callable[[TaskSummary], T]
    ) -> Page[T]: ...

    async def search(
        self, wanted: TaskFilter, page: PageRequest, shown: Callable[[TaskSummary], Any] = as_it_is
    ) -> Page[Any]:
        """A part of the tasks that match, in the order that is asked for, each as ``shown`` makes it: on the
        thread that reads them, so that of thousands no two need be there at one time.

        Going on by the cursors of the pages, every task that matches throughout comes exactly once, whatever
        is written meanwhile. Raises ``QuestionRefused`` for a cursor that is damaged, of another order
        or too old, for a text without words, and for a number out of bounds; ``StoreTooSlow`` when the
        question takes too long.
        """

    async def count(self, wanted: TaskFilter) -> int:
        """How many tasks match; raises what ``search`` does."""

    async def latest(self, namespace: str, name: str) -> str | None:
        """The uid of the task of that name that was created last."""

    async def transitions_after(self, namespace: str, after: int, limit: int = 100) -> list[ToldTransition]:
        """The steps of all tasks that were written after the one with the ``id`` ``after``, in the order in
        which they were written; 0 stands before the first. None comes in before one that was returned."""

    async def last_transition(self) -> int:
        """The ``id`` of the newest step of all; 0 where there is none. It falls when that one is purged."""

    async def highest_given(self) -> int:
        """The highest ``id`` that a step was ever given, which never falls: where it does, this is another
        history. It may be that of a step that is not there yet, or never will be."""

    async def figures(self, namespace: str) -> HistoryFigures:
        """How many tasks there are, live and finished, by phase; raises ``StoreTooSlow``, too."""

    async def kept_since(self, until: Moment, after: KeptTask | None, limit: int) -> list[KeptTask]:
        """Finished tasks whose objects are gone and whose rows did not change after ``until``, the oldest
        first, from the first one behind ``after``."""

    async def purge(self, uids: Sequence[str], now: Moment, kept: dt.timedelta) -> Purged:
        """Forget those of the tasks whose time is over, as it stands at this moment in the rows; as many of
        them as a moment allows, the rest is to be asked for again."""

    async def ping(self) -> None:
        """Write, durably, and come back: what readiness asks. Raises ``StoreCorrupt`` for ever once any call
        has met damage: only a start mends it."""

    async def integrity_check(self) -> None:
        """Read every page and compare indexes with tables; raises ``StoreCorrupt``. Seconds for each
        gigabyte."""

    async def backup(self, path: Path) -> None:
        """Copy the history to ``path`` while it is in use, whole or not at all; the copy is checked before
        it takes its name."""

    async def close(self) -> None:
        """Finish what was asked for and let go of the file."""
