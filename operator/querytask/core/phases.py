"""The state machine of a task, as data: which phase may follow which, and no other.

``decide`` is held to it by a property test, every object of the control-plane tests by their observer, and
the diagram in ``docs/explanation/life-of-a-task.md`` by a test that compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping

from querytask.names import Phase

TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.QUEUED: frozenset(
        {Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLING, Phase.CANCELLED}
    ),
    Phase.RUNNING: frozenset({Phase.QUEUED, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLING}),
    Phase.CANCELLING: frozenset({Phase.CANCELLED, Phase.SUCCEEDED, Phase.FAILED}),
    Phase.SUCCEEDED: frozenset(),
    Phase.FAILED: frozenset(),
    Phase.CANCELLED: frozenset(),
}
"""An object without a status counts as Queued. From Running back to Queued only to back off before another
attempt."""


def may_follow(old: Phase | None, new: Phase) -> bool:
    """Whether a task in ``old`` may come into ``new``; staying is no step, and always allowed."""
    before = old or Phase.QUEUED
    return new is before or new in TRANSITIONS[before]
