"""The observer's checks can fail: each is shown what it is there to find, and what it must let pass."""

from __future__ import annotations

from typing import Any

import pytest

from querytask.names import Phase
from tests.controlplane.kit import invariants, logscan, script
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.invariants import Version


def version(phase: str, reason: str = "", attempt: int = 1, *, at: float = 0.0, **status: Any) -> Version:
    """A version of a task; phase ``new`` for one without a status."""
    if phase == "new":
        return Version(at, {"metadata": {"name": "task"}, "spec": {}})
    told = {"phase": phase, "reason": reason, "attempt": attempt} | status
    return Version(at, {"metadata": {"name": "task"}, "spec": {}, "status": told})


def found(old: Version, new: Version, *, gap: bool = False) -> str:
    """The faults of a step, as one text."""
    return "; ".join(invariants.of_change(old, new, gap=gap))


@pytest.mark.parametrize("end", ["Succeeded", "Failed", "Cancelled"])
@pytest.mark.parametrize("after", list(Phase))
def test_an_end_never_changes(end: str, after: str) -> None:
    """Neither to another phase nor, within it, to another reason."""
    assert bool(found(version(end, "A"), version(after, "A"))) is (end != after)
    assert "must not change" in found(version(end, "A"), version(end, "B"))


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("new", "Queued", True),
        ("new", "Cancelled", True),
        ("Queued", "Running", True),
        ("Queued", "Succeeded", True),
        ("Running", "Cancelling", True),
        ("Running", "Cancelled", False),
        ("Cancelling", "Running", False),
        ("Cancelling", "Queued", False),
        ("Cancelling", "Succeeded", True),
    ],
)
def test_only_the_edges_of_the_state_machine_are_gone(old: str, new: str, *, allowed: bool) -> None:
    """Another edge is a fault, unless versions between may have been missed."""
    assert (not found(version(old), version(new))) is allowed
    assert not found(version(old), version(new), gap=True)


def test_attempts_never_fall() -> None:
    """Also over a gap."""
    assert "must not fall" in found(version("Queued", attempt=2), version("Queued", attempt=1), gap=True)


def test_a_running_task_goes_back_only_to_back_off() -> None:
    """Running to Queued is a lost attempt, and nothing else."""
    assert "back off" in found(version("Running"), version("Queued", "PodPending"))
    assert not found(version("Running"), version("Queued", "BackingOff"))


def test_a_hot_loop_is_noticed() -> None:
    """Many versions at once that bring nothing; not many that do, nor the same number over a long time."""
    number = invariants.RESTLESS_CHANGES
    assert list(invariants.of_rest([version("Running", at=index / 10) for index in range(number)]))
    assert not list(invariants.of_rest([version("Running", at=index) for index in range(number)]))
    moving = [version("Running", at=index / 10, progress=index) for index in range(number)]
    assert not list(invariants.of_rest(moving))


def _pod(name: str, status: Json) -> Json:
    metadata = {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}}
    return {"metadata": metadata, "spec": {}, "status": status}


def test_two_live_pods_are_noticed() -> None:
    """A pod lives until its container has terminated, whatever its phase says."""
    ended = {"name": "worker", "state": {"terminated": {"exitCode": 0}}}
    runs = {"name": "worker", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    old = _pod("one", {"phase": "Failed", "containerStatuses": [runs]})
    assert list(invariants.of_pods([old, _pod("two", {"phase": "Pending"})]))
    over = _pod("one", {"phase": "Failed", "containerStatuses": [ended]})
    assert not list(invariants.of_pods([over, _pod("two", {"phase": "Pending"})]))


def test_the_log_is_scanned_for_what_nobody_expects(tmp_path: Any) -> None:
    """Errors, tracebacks, warnings of libraries and lines that are no JSON are found; our own warnings and
    what a test allows are not."""
    log = tmp_path / "log"
    log.write_text(
        '{"level": "info", "logger": "querytask", "message": "fine"}\n'
        '{"level": "warning", "logger": "querytask.runtime", "message": "a pod was refused"}\n'
        '{"level": "error", "logger": "querytask", "message": "a fault"}\n'
        '{"level": "info", "logger": "querytask", "message": "hidden", "traceback": "Traceback"}\n'
        '{"level": "warning", "logger": "asyncio", "message": "a task was never awaited"}\n'
        "Segmentation fault\n"
    )
    assert len(logscan.unexpected(log)) == 4
    assert len(logscan.unexpected(log, ["a fault", "Segmentation"])) == 2


def test_a_script_names_a_scene_for_each_attempt() -> None:
    """The last one holds for all that follow, and the default where there is none."""
    text = script.sql("exit code=137 after=0.5", "succeed rows=2")
    assert script.read(text, 1).play == "exit"
    assert script.read(text, 1).number("after") == 0.5
    assert [script.read(text, attempt).play for attempt in (2, 3)] == ["succeed", "succeed"]
    assert script.read("SELECT 1", 1, script.Scene("hang")).play == "hang"
