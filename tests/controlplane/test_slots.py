"""Slots: how many tasks run at one time, who goes next, and for how long one may wait."""

from __future__ import annotations

import datetime as dt

import pytest

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always


def _order(site: Site, tasks: list[Json]) -> list[str]:
    """Names in the order in which their pods began."""
    by_uid = {task["metadata"]["uid"]: task["metadata"]["name"] for task in tasks}
    return [by_uid[pod[3:39]] for pod, _ in site.kubelet.played if pod[3:39] in by_uid]


def test_no_more_tasks_run_than_there_are_slots(sites: Sites) -> None:
    """With ``maxRunning`` 2, two of five have a pod; the others say that they wait, and all succeed."""
    site = sites(max_running=2)
    site.operator()
    tasks = [site.submit("succeed after=0.8", name=f"task-{number}") for number in range(5)]
    site.sees(lambda: len(site.observer.pods) == 2, "two have a pod")
    always(lambda: len(_alive(site)) <= 2, 1.0, what="at most two pods live")
    waiting = [
        name for name in site.observer.tasks if site.task(name)["status"]["reason"] == "WaitingForSlot"
    ]
    assert waiting
    for task in tasks:
        site.succeeds(task["metadata"]["name"])
        always(lambda: len(_alive(site)) <= 2, 0.05)


def test_the_higher_priority_goes_first_and_within_one_the_older(sites: Sites) -> None:
    """Higher priority first, first come first served within one, also when all were made before the operator
    was there."""
    site = sites(max_running=1)
    tasks = []
    for number, priority in enumerate((0, 5, 0, 9, 5)):
        tasks.append(site.submit("succeed", name=f"task-{number}", priority=priority))
        _next_second(site, tasks[-1])
    site.operator()
    for task in tasks:
        site.succeeds(task["metadata"]["name"])
    assert _order(site, tasks) == ["task-3", "task-1", "task-4", "task-0", "task-2"]


def test_a_task_that_waits_can_be_moved_in_the_line(sites: Sites) -> None:
    """``priority`` may change while Queued, and counts at once."""
    site = sites(max_running=1)
    site.operator()
    first = site.submit("hang", name="first")
    site.reaches("first", "Running")
    tasks = [site.submit("succeed", name=name) for name in ("second", "third")]
    site.reaches("third", "Queued", reason="WaitingForSlot")
    site.patch(names.TASK_PLURAL, "third", {"spec": {"priority": 10}})
    # What comes later by the same watch is looked at, and so the change was before it.
    tasks.append(site.submit("succeed", name="fourth"))
    site.reaches("fourth", "Queued", reason="WaitingForSlot")
    site.cancel("first")
    for task in tasks:
        site.succeeds(task["metadata"]["name"])
    # The others may have been made in one second, and then stand in no order that is told.
    assert _order(site, [first, *tasks])[:2] == ["first", "third"]


def test_a_restart_lets_nobody_overtake(sites: Sites) -> None:
    """An operator killed with a full line takes the running task's slot first, and the order stays."""
    site = sites(max_running=1)
    operator = site.operator()
    running = site.submit("succeed after=6", name="running")
    site.reaches("running", "Running")
    tasks = []
    for name, priority in (("low", 0), ("high", 5), ("lowest", -1)):
        tasks.append(site.submit("succeed", name=name, priority=priority))
        site.reaches(name, "Queued", reason="WaitingForSlot")
    operator.kill()
    site.operator()
    for task in (running, *tasks):
        site.succeeds(task["metadata"]["name"])
    assert _order(site, [running, *tasks]) == ["running", "high", "low", "lowest"]
    assert all(
        attempts == 1 for attempts in (len(site.history.attempts(t["metadata"]["uid"])) for t in tasks)
    )


def test_fewer_slots_after_a_restart_stop_nothing_that_runs(sites: Sites) -> None:
    """With ``maxRunning`` turned down, what runs goes on; nobody new starts above the new limit."""
    site = sites(max_running=3)
    operator = site.operator()
    for number in range(3):
        site.submit("succeed after=5", name=f"old-{number}")
        site.reaches(f"old-{number}", "Running")
    operator.stop()
    operator = site.operator(max_running=1)
    assert operator.metric("querytask_slots", state="held") == 3
    site.submit("succeed", name="new")
    site.reaches("new", "Queued", reason="WaitingForSlot")
    for number in range(3):
        site.succeeds(f"old-{number}")
    site.succeeds("new")


def test_who_waits_too_long_for_a_slot_has_failed(sites: Sites) -> None:
    """``queueTimeout`` counts from the creation, needs no pod, and is told in status and history."""
    site = sites(max_running=1)
    site.operator()
    site.submit("hang", name="blocker")
    site.reaches("blocker", "Running")
    task = site.submit("succeed", name="waits", queueTimeout="2s")
    status = site.ends("waits", "Failed", "QueueTimeout")
    assert "spec.queueTimeout" in status["message"]
    assert "attempt" not in status
    row = site.row(task, "Failed")
    assert 2000 <= row["completed_at"] - row["created_at"] < 6000
    assert not site.directory(task).exists()


def test_a_queue_timeout_that_passed_while_nobody_looked_counts(sites: Sites) -> None:
    """An operator that comes late fails the task before it gives it a slot."""
    site = sites(max_running=1)
    task = site.submit("succeed", name="too-late", queueTimeout="1s")
    _next_second(site, task, seconds=2)
    site.operator()
    site.ends("too-late", "Failed", "QueueTimeout")
    assert site.kubelet.played == []


@pytest.mark.parametrize("end", ["exit code=137", "fail", "oom", "image_pull"])
def test_every_end_gives_its_slot_back(end: str, sites: Sites) -> None:
    """However a task ends, the next one runs."""
    site = sites(max_running=1)
    site.operator()
    site.submit(end, name="first", retry={"limit": 0})
    site.submit("succeed", name="second")
    site.reaches("first", "Failed")
    site.succeeds("second")


def _alive(site: Site) -> list[Json]:
    return [
        pod
        for pod in list(site.observer.pods.values())
        if pod["status"].get("phase") in ("Pending", "Running")
    ]


def _next_second(site: Site, task: Json, seconds: int = 1) -> None:
    """Wait until the clock shows another second than the one in which a task was created."""
    created = dt.datetime.fromisoformat(task["metadata"]["creationTimestamp"])
    due = created + dt.timedelta(seconds=seconds)
    site.sees(lambda: dt.datetime.now(dt.UTC) >= due, "the next second", timeout=10)
