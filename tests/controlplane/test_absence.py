"""The operator was away while something happened: the mailbox tells, and nothing is run again that had
published or that had failed by its own fault."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from querytask import names
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site


def _away(site: Site, scene: str, **spec: Any) -> Json:
    """A task that runs, and an operator that was killed."""
    operator = site.operator()
    task = site.submit(scene, name="task", **spec)
    site.reaches("task", "Running")
    operator.kill()
    return task


def _pod_ended(site: Site, task: Json) -> str:
    name = names.pod_name(task["metadata"]["uid"], 1)
    site.sees(
        lambda: name not in site.observer.pods or "terminated" in str(site.observer.pods[name]["status"]),
        "the worker has ended",
    )
    return name


@pytest.mark.parametrize(
    ("scene", "phase", "reason"),
    [
        ("succeed after=2", "Succeeded", "Completed"),
        ("succeed after=2 vanish=yes", "Succeeded", "Completed"),
        ("succeed after=2 quiet=yes vanish=yes", "Succeeded", "Completed"),
        ("fail after=2 reason=SqlError", "Failed", "SqlError"),
        ("fail after=2 reason=SqlError vanish=yes", "Failed", "SqlError"),
        ("fail after=2 reason=OutOfMemory vanish=yes", "Failed", "OutOfMemory"),
    ],
)
def test_the_worker_ended_meanwhile(scene: str, phase: str, reason: str, site: Site) -> None:
    """The right end, told by the mailbox even where the pod is gone, with one attempt and one pod."""
    task = _away(site, scene, export={})
    name = _pod_ended(site, task)
    if "vanish" in scene:
        site.sees(lambda: name not in site.observer.pods, "the pod is gone")
    site.operator()
    status = site.ends("task", phase, reason)
    assert status["attempt"] == 1
    assert len(site.kubelet.played) == 1
    assert len(site.history.attempts(task["metadata"]["uid"])) == 1
    assert site.row(task, phase)["reason"] == reason


def test_the_pod_was_removed_meanwhile_and_told_nothing(site: Site) -> None:
    """A lost worker: another attempt, in a pod of its own."""
    task = _away(site, "hang", retry={"limit": 1, "backoff": "1s"})
    site.delete("pods", names.pod_name(task["metadata"]["uid"], 1), gracePeriodSeconds=0)
    site.operator()
    site.reaches("task", "Running", attempt=2)
    assert [row["reason"] for row in site.history.attempts(task["metadata"]["uid"])] == ["WorkerLost", None]
    site.cancel("task")
    site.reaches("task", "Cancelled")


@pytest.mark.parametrize(
    ("scene", "phase"),
    [
        ("succeed after=2", "Succeeded"),
        ("fail after=2 reason=SqlError", "Failed"),
        ("hang", "Deleted"),
    ],
)
def test_the_object_was_deleted_meanwhile(scene: str, phase: str, site: Site) -> None:
    """The row is closed with the end that the mailbox tells, else as Deleted."""
    task = _away(site, scene)
    if phase != "Deleted":
        _pod_ended(site, task)
    site.delete(names.TASK_PLURAL, "task")
    site.no_pods(task)
    site.operator()
    row = site.row(task, phase)
    assert row["object_deleted_at"] is not None
    assert len(site.kubelet.played) == 1


def test_tasks_that_came_meanwhile_are_run(site: Site) -> None:
    """What was created while nobody listened is found by the first list."""
    site.operator().kill()
    tasks = [site.submit("succeed", name=f"task-{number}") for number in range(5)]
    site.operator()
    for task in tasks:
        site.succeeds(task["metadata"]["name"])


def test_a_lost_history_is_rebuilt_from_what_is_there(site: Site) -> None:
    """With an empty history volume, finished tasks get their rows again, from object and manifest, and
    running ones go on in the pods that they have."""
    operator = site.operator()
    done = site.submit("succeed rows=5", name="done", export={})
    failed = site.submit("fail", name="failed")
    running = site.submit("succeed after=6", name="running")
    site.succeeds("done")
    site.reaches("failed", "Failed")
    site.reaches("running", "Running")
    operator.kill()
    shutil.rmtree(site.history_dir)
    site.history_dir.mkdir()
    site.operator()
    site.succeeds("running")
    assert site.row(running, "Succeeded")["reason"] == "Completed"
    assert site.row(done, "Succeeded")["reason"] == "Completed"
    assert site.row(failed, "Failed")["reason"] == "SqlError"
    export = site.history.export(done["metadata"]["uid"])
    assert export is not None
    assert export["rows"] == 5
    assert len(site.kubelet.played) == 3


def test_a_restart_in_good_order_is_no_event_in_the_life_of_a_task(site: Site) -> None:
    """SIGTERM ends the operator with 0, and the next one goes on with the same attempt and no other step."""
    operator = site.operator()
    task = site.submit("succeed after=5", name="task")
    site.reaches("task", "Running")
    assert operator.stop() == 0
    site.operator()
    site.succeeds("task")
    assert site.observer.steps(task["metadata"]["uid"]) == [
        ("Queued", "PodPending", 1),
        ("Running", "Started", 1),
        ("Succeeded", "Completed", 1),
    ]
