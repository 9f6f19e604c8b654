"""What the collector knows when it decides: of a directory on the exports volume, of its task in the
history, of its task in the cluster.

Plain values, filled in by the adapters that look and read by ``collection``, which decides; they stand here
because both need them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

Moment = dt.datetime


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """An attempt's folder."""

    number: int
    partials: int
    """How many files in it end in ``.partial``."""
    newest: Moment
    """When anything in it last changed; never in the future of the volume's own clock, whatever its writer
    claims."""


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """The published manifest; ``attempt`` and ``expires_at`` are ``None`` when it is damaged."""

    attempt: int | None
    expires_at: Moment | None


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """A task's directory."""

    namespace: str
    uid: str
    manifest: ManifestFacts | None
    attempts: tuple[AttemptFacts, ...]
    newest: Moment
    """As of an attempt, over the whole directory."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """The task in the history."""

    phase: str
    attempt: int
    completed_at: Moment | None
    """``None`` as long as the task has no end."""
    export_state: str | None = None
    expires_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class LivingTask:
    """The task's object in the cluster."""

    finished: bool
    """Whether its status shows an end."""
    attempt: int = 0
    completed_at: Moment | None = None
