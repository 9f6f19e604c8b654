"""One attempt as supervisor and engine process share it: fixed before the fork, and free of DuckDB."""

from __future__ import annotations

from dataclasses import dataclass

from .contract import Assignment
from .limits import Limits
from .mailbox import Mailbox
from .places import Places


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, where, and within what."""

    assignment: Assignment
    places: Places
    mailbox: Mailbox
    limits: Limits
    started_at: str
    """The start of the container, as the contract writes times."""
    started_monotonic: float
    """The same moment on the monotonic clock, in seconds."""
