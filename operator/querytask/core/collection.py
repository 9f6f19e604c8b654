"""What may be removed from the exports volume, and why: one pure function over the facts of one directory.

For the collector, which looks, asks and removes; it decides nothing. Three rules stand above the others:

- A directory with a manifest is no orphan: it goes when its manifest says so, whether or not anybody
  remembers the task.
- Nothing of a task that has no end yet is touched but the folders of its earlier attempts. An end that is
  told by the mailbox alone must stay until it is written down, however late that is.
- While the API server cannot be asked, nobody knows which tasks live: then only what has expired goes, and
  of that only what the history knows to be finished.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass

from querytask.core.collection_facts import DirectoryFacts, LivingTask, Moment, TaskState


class Kind(enum.StrEnum):
    """What is removed; also the values of a metric's label."""

    EXPIRED = "Expired"
    """A directory whose manifest's ``expiresAt`` has come."""
    ENDED = "Ended"
    """A directory of a finished task that published nothing, after the default retention: until then its
    log and outcome are of use."""
    ORPHAN = "Orphan"
    """A directory without a manifest whose task neither the cluster nor the history knows."""
    ATTEMPT = "Attempt"
    """The folder of an attempt that is neither the published nor the current one."""
    PARTIALS = "Partials"
    """Files that were never finished."""


@dataclass(frozen=True, slots=True)
class Action:
    """One removal: the task's directory, or what lies in the folder of one attempt."""

    kind: Kind
    namespace: str
    uid: str
    why: str
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the plan depends on."""

    grace: dt.timedelta = dt.timedelta(hours=1)
    """How long left-overs must have been still."""
    retention: dt.timedelta = dt.timedelta(days=7)
    """How long the mailbox of a task that published nothing is kept, and a directory whose manifest cannot
    be read."""


Cluster = Mapping[str, LivingTask] | None
"""The tasks of the cluster by uid; ``None`` when the API server could not be asked."""


def plan(
    directory: DirectoryFacts, task: TaskState | None, cluster: Cluster, now: Moment, rules: Rules
) -> list[Action]:
    """What to remove of ``directory`` now; ``task`` is what the history holds of it."""
    raise NotImplementedError
