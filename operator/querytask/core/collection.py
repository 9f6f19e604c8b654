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

from querytask.core.collection_facts import AttemptFacts, DirectoryFacts, LivingTask, Moment, TaskState
from querytask.names import DELETED


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
    living = None if cluster is None else cluster.get(directory.uid)
    if task is None and cluster is None:
        return []
    if (task is not None and task.completed_at is None) or (living is not None and not living.finished):
        return [] if cluster is None else _earlier_attempts(directory, task, living, now, rules)
    whole = _whole(directory, task, living, now, rules)
    if whole is not None and (cluster is not None or whole.kind is Kind.EXPIRED):
        return [whole]
    return [] if cluster is None else _left_over(directory, task, living, now, rules)


def _whole(
    directory: DirectoryFacts, task: TaskState | None, living: LivingTask | None, now: Moment, rules: Rules
) -> Action | None:
    """Why the whole directory goes, if it does. The task has its end, or nobody knows it."""
    if directory.manifest is not None or (task is not None and task.expires_at is not None):
        return _expired(directory, task, now, rules)
    if task is None and living is None:
        if now < directory.newest + rules.grace:
            return None
        why = f"neither the cluster nor the history knows its task; still since {directory.newest}"
        return _action(Kind.ORPHAN, directory, why)
    ended = (task.completed_at if task else None) or (living.completed_at if living else None)
    since = max(ended or directory.newest, directory.newest)
    if now < since + rules.retention:
        return None
    return _action(
        Kind.ENDED, directory, f"the task ended without a result, and nothing changed since {since}"
    )


def _expired(directory: DirectoryFacts, task: TaskState | None, now: Moment, rules: Rules) -> Action | None:
    told = directory.manifest.expires_at if directory.manifest else None
    if told is not None:
        why = f"its manifest expired at {told}"
    elif task is not None and task.expires_at is not None:
        told, why = (
            task.expires_at,
            f"its manifest cannot be read; by the history it expired at {task.expires_at}",
        )
    else:
        told, why = (
            directory.newest + rules.retention,
            f"its manifest cannot be read; still since {directory.newest}",
        )
    return _action(Kind.EXPIRED, directory, why) if told <= now else None


def _earlier_attempts(
    directory: DirectoryFacts, task: TaskState | None, living: LivingTask | None, now: Moment, rules: Rules
) -> list[Action]:
    """Of a task that has no end: attempts before the current one. What is current nobody may touch, nor a
    published one."""
    current = _last_attempt(task, living)
    return [
        _old(directory, attempt)
        for attempt in directory.attempts
        if attempt.number < current
        and attempt.number != _published(directory)
        and attempt.newest + rules.grace <= now
    ]


def _left_over(
    directory: DirectoryFacts, task: TaskState | None, living: LivingTask | None, now: Moment, rules: Rules
) -> list[Action]:
    """Of a task that has its end: every attempt but the one that tells of it, and files that were never
    finished."""
    if directory.manifest is not None and directory.manifest.attempt is None:
        return []
    kept = _published(directory) or _last_attempt(task, living)
    actions = []
    for attempt in directory.attempts:
        still = attempt.newest + rules.grace <= now
        if attempt.number != kept and still and kept:
            actions.append(_old(directory, attempt))
        elif attempt.partials and (still or _surely_over(task)):
            why = f"{attempt.partials} unfinished files of a task that has ended"
            actions.append(_action(Kind.PARTIALS, directory, why, attempt.number))
    return actions


def _surely_over(task: TaskState | None) -> bool:
    """Whether no worker can still be writing: an end is written down when the pod is known to be gone; not
    so ``Deleted``."""
    return task is not None and task.phase != DELETED


def _last_attempt(task: TaskState | None, living: LivingTask | None) -> int:
    return max(task.attempt if task else 0, living.attempt if living else 0)


def _published(directory: DirectoryFacts) -> int | None:
    return directory.manifest.attempt if directory.manifest else None


def _old(directory: DirectoryFacts, attempt: AttemptFacts) -> Action:
    return _action(
        Kind.ATTEMPT,
        directory,
        f"another attempt has taken its place; still since {attempt.newest}",
        attempt.number,
    )


def _action(kind: Kind, directory: DirectoryFacts, why: str, attempt: int | None = None) -> Action:
    return Action(kind, directory.namespace, directory.uid, why, attempt)
