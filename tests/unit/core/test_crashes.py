"""An operator that dies after any of its writes: the same end, the same attempts, no pod too many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from querytask.names import Phase, Reason
from tests.unit.core import world as w
from tests.unit.core.world import World


def cancelled_when(phase: Phase, worker: w.Worker) -> Callable[[], World]:
    """A task that somebody cancels as soon as it shows ``phase``."""

    @dataclasses.dataclass
    class Cancelled(World):
        def show(self, document: dict[str, Any]) -> None:
            super().show(document)
            if document["phase"] == phase:
                self.spec = {**self.spec, "cancel": True}

    return lambda: Cancelled(worker)


SCENARIOS: dict[str, tuple[Callable[[], World], str, list[int]]] = {
    "succeeds": (lambda: World(w.succeeds), "Succeeded/Completed", [1]),
    "exports": (lambda: World(w.succeeds, {"export": {}}), "Succeeded/Completed", [1]),
    "fails": (lambda: World(w.fails), "Failed/SqlError", [1]),
    "is killed once": (lambda: World(w.lost(1, w.succeeds)), "Succeeded/Completed", [1, 2]),
    "is killed too often": (
        lambda: World(w.lost(9, w.succeeds), {"retry": {"limit": 1}}),
        "Failed/WorkerLost",
        [1, 2],
    ),
    "is killed, then fails": (lambda: World(w.lost(1, w.fails)), "Failed/SqlError", [1, 2]),
    "runs too long": (lambda: World(w.works, {"timeout": "30s"}), "Failed/Timeout", [1]),
    "never starts": (lambda: World(w.never_starts), "Failed/ImagePullFailed", [1]),
    "is refused": (lambda: World(w.succeeds, refused=Reason.QUOTA_EXCEEDED), "Failed/QuotaExceeded", []),
    "its name is taken": (lambda: World(w.succeeds, refused=Reason.NAME_TAKEN), "Failed/NameTaken", []),
    "cancelled before it started": (
        cancelled_when(Phase.QUEUED, w.succeeds),
        "Cancelled/CancelRequested",
        [1],
    ),
    "cancelled while it runs": (cancelled_when(Phase.RUNNING, w.works), "Cancelled/CancelRequested", [1]),
    "cancelled while it backs off": (
        cancelled_when(Phase.QUEUED, w.lost(1, w.works)),
        "Cancelled/CancelRequested",
        [1],
    ),
}


def undisturbed(name: str) -> World:
    return SCENARIOS[name][0]().run()


def history(world: World) -> Any:
    """What the history holds in the end, but for times and words."""
    assert world.stored is not None
    rows = [(item.attempt, item.reason, item.exit_code) for item in world.stored.attempts]
    return world.stored.task.phase, world.stored.task.reason, world.stored.task.attempt, rows


def points() -> list[Any]:
    """Every scenario with every number of writes after which the operator may die."""
    found = []
    for name in SCENARIOS:
        count = len(undisturbed(name).writes)
        found += [pytest.param(name, number, id=f"{name}, crash {number}") for number in range(1, count + 1)]
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_undisturbed(name):
    """The end, the attempts, and that everything is cleared away."""
    world = undisturbed(name)
    _, end, starts = SCENARIOS[name]
    assert world.phases[-1] == end
    assert world.starts == starts
    row: Any = world.stored
    assert (row.task.phase, row.task.reason) == (world.status["phase"], world.status["reason"])
    assert all(item.finished_at is not None and item.reason for item in row.attempts)
    assert (world.manifest is not None) == (end == "Succeeded/Completed")


@pytest.mark.parametrize(("name", "number"), points())
def test_a_crash_after_any_write_changes_nothing(name, number):
    """Dead after the n-th write, started anew with nothing but what was written: the same end in status and
    history, the same attempts, and never two living pods."""
    calm, disturbed = undisturbed(name), SCENARIOS[name][0]()
    disturbed.crash_after = number
    disturbed.run()
    assert disturbed.crash_after is None, "it has happened"
    assert disturbed.phases[-1] == calm.phases[-1]
    assert disturbed.starts == calm.starts
    assert history(disturbed) == history(calm)
    assert shown(disturbed) == shown(calm)


def shown(world: World) -> Any:
    """The status in the end, but for its times and what was measured."""
    return timeless(
        {key: value for key, value in world.status.items() if key not in ("statistics", "duration")}
    )


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: timeless(item) for key, item in value.items() if not key.endswith(("At", "Time", "Seconds"))
        }
    if isinstance(value, list):
        return sorted((timeless(item) for item in value), key=str)
    return value


def test_an_eviction_whose_pod_vanishes_while_nobody_looks():
    """What was seen of it is lost with the operator; it is retried all the same."""
    for number in range(1, 12):
        world = World(w.evicted(1, w.succeeds), crash_after=number)
        world.run()
        assert world.phases[-1] == "Succeeded/Completed"


def test_a_success_is_five_writes_and_its_history():
    """Create, Queued, Running, Succeeded, delete: no write of the operator's is for nothing."""
    calls = [what for what in undisturbed("succeeds").writes if not what.startswith("history")]
    assert calls == ["create pod", "status Queued", "status Running", "status Succeeded", "delete pod"]


def test_a_cancellation_is_four_writes():
    """From the request on: Cancelling with its stop, Cancelled, and the pod's deletion."""
    writes = undisturbed("cancelled while it runs").writes
    after = writes[writes.index("status Running") + 1 :]
    calls = [what for what in after if not what.startswith("history")]
    assert calls == ["stop cancel", "status Cancelling", "status Cancelled", "delete pod"]


def test_statistics_survive_a_crash_between_history_and_status():
    """What was measured is in the row, and is shown from there."""
    calm = undisturbed("fails")
    disturbed = World(w.fails, crash_after=calm.writes.index("history Failed") + 1)
    disturbed.run()
    assert (
        disturbed.status["statistics"]["engineSeconds"]
        == calm.status["statistics"]["engineSeconds"]
        == "1.25"
    )
