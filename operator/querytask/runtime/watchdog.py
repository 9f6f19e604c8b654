"""The watchdog: a timer that looks for tasks which have been Cancelling for longer than a stop may take.

It decides and does nothing by itself: it lets the reconciler look at them, which does the same at any other
time. So it may be started twice, or run late, and changes nothing by it; without it a task whose own timer
was lost would wait for the next resync.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

from querytask.core import cancelling, clock
from querytask.names import Phase
from querytask.runtime.cache import Cache, Key
from querytask.settings import Settings

log = logging.getLogger(__name__)


class Watchdog:
    """Looks through the cache of unfinished tasks; ``now`` is the wall clock."""

    def __init__(
        self, cache: Cache, settings: Settings, enqueue: Callable[[Key], None], now: Callable[[], dt.datetime]
    ) -> None:
        self._cache, self._settings, self._enqueue, self._now = cache, settings, enqueue, now

    async def look(self) -> int:
        """Let every overdue task be looked at; how many there are."""
        overdue = [name for name, task in self._cache.tasks.items() if self._overdue(task.get("status", {}))]
        for name in overdue:
            self._enqueue(self._cache.task_key(name))
        return len(overdue)

    def _overdue(self, status: dict[str, Any]) -> bool:
        asked = status.get("cancel", {}).get("requestedAt")
        if status.get("phase") != Phase.CANCELLING or asked is None:
            return False
        return cancelling.left(clock.parse(asked), self._now(), self._settings) <= 0
