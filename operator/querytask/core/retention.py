"""How long the history keeps a task, and when one may go: pure rules over what is known of it.

For the purger, which asks, removes and counts, and for the store, which asks the same question again inside
the transaction that deletes. A row goes only when nobody can miss it: the task has its end, its object is
gone, nothing has changed in the row for the whole period, and its export has no time left.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from querytask.api import durations
from querytask.core.collection_facts import DirectoryFacts, Moment
from querytask.errors import SettingsError

LONGEST = 100 * 365 * 86_400.0
"""The longest period, in seconds: no calendar of the machine ends within it."""
SHORTEST_SCAN, LONGEST_SCAN = 30.0, 300.0
"""The bounds of the time between two scans, in seconds."""
SCANS = 20
"""How many scans a period has, within these bounds: nothing stays much longer than it was to."""


@dataclass(frozen=True, slots=True)
class KeptTask:
    """What decides about one row of the history."""

    uid: str
    namespace: str
    name: str
    owner: str
    updated_at: Moment
    completed_at: Moment | None
    object_deleted_at: Moment | None
    expires_at: Moment | None = None
    """Of its export; ``None`` where there is none."""
    removed_at: Moment | None = None
    """When the files of the export were removed."""


def period(text: str, setting: str = "taskRetention") -> dt.timedelta:
    """The period that the setting names. Raises ``SettingsError``, which names it ``setting``, for one that
    is no duration, shorter than a second, or too long."""
    try:
        return dt.timedelta(seconds=durations.seconds(text, least=1, most=LONGEST))
    except ValueError as error:
        raise SettingsError(f"{setting} {error}") from error


def scan_seconds(kept: dt.timedelta) -> float:
    """Seconds between two scans for tasks whose period is over."""
    return min(LONGEST_SCAN, max(SHORTEST_SCAN, kept.total_seconds() / SCANS))


def over(task: KeptTask, now: Moment, kept: dt.timedelta) -> bool:
    """Whether the task may go now."""
    if task.completed_at is None or task.object_deleted_at is None or task.updated_at > now - kept:
        return False
    return task.removed_at is not None or task.expires_at is None or task.expires_at <= now


def files_kept_until(
    directory: DirectoryFacts, expires_at: Moment | None, unreadable: dt.timedelta
) -> Moment | None:
    """Until when the published files of a task must stay; ``None`` where it has published nothing.

    The manifest's own time rules; where it cannot be read, that of the history, ``expires_at``, and where
    there is none ``unreadable`` after the last change.
    """
    if directory.manifest is None:
        return None
    return directory.manifest.expires_at or expires_at or directory.newest + unreadable


def reason(task: KeptTask, kept: dt.timedelta) -> str:
    """Why the task goes, for the log."""
    changed = task.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"last changed at {changed}, and a finished task is kept for {durations.write(kept.total_seconds())}"
    )
