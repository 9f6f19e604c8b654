"""What must hold of every task at every moment, whatever the weather: pure checks over what was seen.

For the observer, which looks at every event of every test. Each check answers with a sentence, or with
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from querytask.core import podstate
from querytask.core.phases import may_follow
from querytask.names import TERMINAL_PHASES, Phase
from tests.controlplane.kit.client import Json

RESTLESS_CHANGES, RESTLESS_SECONDS = 12, 3.0
"""So many versions of one object in so short a time, without a step of its task, are a hot loop."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a task as a watch told it."""

    at: float
    """When, in monotonic seconds."""
    task: Json

    @property
    def status(self) -> Json:
        """Its status; empty before the operator's first write."""
        found: Json = self.task.get("status", {})
        return found

    @property
    def phase(self) -> str:
        """Its phase."""
        return str(self.status.get("phase", Phase.QUEUED))

    @property
    def step(self) -> tuple[str, str, int, int]:
        """What changes when the task comes on."""
        status = self.status
        return (
            self.phase,
            str(status.get("reason", "")),
            int(status.get("attempt", 0)),
            int(status.get("progress", 0)),
        )


def of_change(old: Version, new: Version, *, gap: bool) -> Iterator[str]:
    """What is wrong with the step from ``old`` to ``new``; after a ``gap`` some between may be missing."""
    if old.phase in TERMINAL_PHASES and (old.phase, old.step[1]) != (new.phase, new.step[1]):
        yield f"an end must not change: {old.step} became {new.step}"
    elif old.phase != new.phase and not may_follow(Phase(old.phase), Phase(new.phase)) and not gap:
        yield f"the state machine has no edge from {old.phase} to {new.phase}"
    if new.step[2] < old.step[2]:
        yield f"attempt must not fall: {old.step[2]} became {new.step[2]}"
    if new.phase == Phase.QUEUED and old.phase == Phase.RUNNING and new.step[1] != "BackingOff" and not gap:
        yield f"a running task goes back to the queue only to back off, not because of {new.step[1]}"
    if old.status.get("cancel") and not new.status.get("cancel"):
        yield "status.cancel must not go away"


def of_rest(versions: Sequence[Version]) -> Iterator[str]:
    """Whether an object moves without coming on: somebody writes in a loop."""
    last = versions[-RESTLESS_CHANGES:]
    if len(last) < RESTLESS_CHANGES or last[-1].at - last[0].at > RESTLESS_SECONDS:
        return
    if len({version.step for version in last}) <= 2:
        span = last[-1].at - last[0].at
        yield f"{RESTLESS_CHANGES} versions within {span:.1f} s, and the task stays {last[-1].step}"


def living(pods: Iterable[Json]) -> list[str]:
    """The names of the pods whose container may run now or later."""
    return [pod["metadata"]["name"] for pod in pods if not podstate.read(pod).ended]


def of_pods(pods: Sequence[Json]) -> Iterator[str]:
    """Whether more than one of a task's pods lives."""
    if len(alive := living(pods)) > 1:
        yield f"two live pods of one task: {', '.join(alive)}"
