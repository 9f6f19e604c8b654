"""The timer of the backups: makes one when the newest is old enough, whoever made that and whenever this
operator was started."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Protocol

from querytask import errors
from querytask.adapters.store import Backup

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""Between two looks at how old the newest backup is."""
RETRY_SECONDS = 300.0
"""After a backup that failed."""


class Files(Protocol):
    """Where backups are made and kept."""

    async def newest(self) -> Backup | None:
        """The newest one."""

    async def make(self, at: dt.datetime, kept: int) -> Backup:
        """Make one, and keep that many."""


class Counters(Protocol):
    """The metrics of the backups."""

    def backed_up(self, result: str) -> None:
        """One was tried: ``ok`` or ``error``."""


class BackupTimer:
    """Makes a backup every ``seconds`` and keeps ``kept`` of them; ``now`` is the wall clock."""

    def __init__(
        self, files: Files, seconds: float, kept: int, now: Callable[[], dt.datetime], metrics: Counters
    ) -> None:
        self._files, self._every = files, dt.timedelta(seconds=seconds)
        self._kept, self._now, self._metrics = kept, now, metrics
        self._not_before: dt.datetime | None = None

    async def run_once(self) -> Backup | None:
        """Make a backup if one is due; a failure is logged and counted, and tried again before long."""
        now = self._now()
        if self._not_before is not None and now < self._not_before:
            return None
        try:
            newest = await self._files.newest()
            # One of the future was made by a clock that was wrong: it counts as old.
            if newest is not None and dt.timedelta(0) <= now - newest.at < self._every:
                return None
            made = await self._files.make(now, self._kept)
        except errors.StoreError as error:
            self._not_before = now + min(self._every, dt.timedelta(seconds=RETRY_SECONDS))
            self._metrics.backed_up("error")
            log.warning("The backup of the history has failed: %s", error)
            return None
        self._not_before = None
        self._metrics.backed_up("ok")
        log.info(
            "Backed up the history: %s, %d bytes, %.1f s",
            made.path,
            made.bytes,
            (self._now() - now).total_seconds(),
        )
        return made
