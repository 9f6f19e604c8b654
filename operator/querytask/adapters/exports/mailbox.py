"""What the mailbox of one attempt holds. The worker is not trusted: whatever is not a message of its task
is ``Damaged``, never an error."""

from __future__ import annotations

from dataclasses import dataclass

from querytask_worker.contract import Manifest, Outcome, Progress


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file is there, but it is no message that can be believed; ``why`` is a sentence, and shows nothing
    of its content."""

    why: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The messages of one attempt and the task's manifest; ``None`` where the worker has not written one."""

    manifest: Manifest | Damaged | None = None
    """The published result of the task, of whichever attempt."""
    outcome: Outcome | Damaged | None = None
    progress: Progress | Damaged | None = None
