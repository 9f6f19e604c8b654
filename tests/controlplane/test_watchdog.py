"""Cancellations that take too long, and tasks that run for longer than anybody expects."""

from __future__ import annotations

import datetime as dt

import pytest

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.observer import condition
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until


def _set_cancelling(site: Site, name: str) -> None:
    """Write by hand what an operator would have written an hour ago."""
    asked = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    cancel = {"requestedAt": asked, "step": "Requested"}
    status = {"phase": "Cancelling", "reason": "CancelRequested", "cancel": cancel}
    site.patch(names.TASK_PLURAL, f"{name}/status", {"status": status})


def _timed_out(site: Site, task: Json) -> Json:
    status = site.ends(task["metadata"]["name"], "Cancelled", "CancelTimeout", timeout=13.0)
    assert status["cancel"]["step"] == "Killed"
    row = site.row(task, "Cancelled")
    assert (row["reason"], row["cancel_step"]) == ("CancelTimeout", "Killed")
    site.no_pods(task)
    return status


@pytest.mark.parametrize("scene", ["hang", "stubborn"])
def test_a_task_that_was_cancelling_for_too_long_ends(scene: str, shared: Site) -> None:
    """Its pod is deleted, with its grace period, and it ends Cancelled, CancelTimeout within grace + 10 s."""
    task = shared.submit(scene, name=f"late-{scene}")
    shared.reaches(f"late-{scene}", "Running")
    _set_cancelling(shared, f"late-{scene}")
    _timed_out(shared, task)
    uid = task["metadata"]["uid"]
    shared.sees(
        lambda: (
            ("CancelTimeout", "Warning") in [(e["reason"], e["type"]) for e in shared.observer.events_of(uid)]
        ),
        "there is an Event of it",
    )
    operator = shared.operators[0]
    until(
        lambda: operator.metric("querytask_tasks_finished_total", phase="Cancelled", reason="CancelTimeout"),
        what="it is counted",
    )


def test_a_task_that_was_cancelling_without_a_pod_ends(sites: Sites) -> None:
    """Nothing is there to stop: it ends the same way."""
    site = sites(max_running=1)
    site.operator()
    site.submit("hang", name="blocker")
    site.reaches("blocker", "Running")
    task = site.submit("succeed", name="waits")
    site.reaches("waits", "Queued", reason="WaitingForSlot")
    _set_cancelling(site, "waits")
    _timed_out(site, task)
    site.cancel("blocker")
    site.reaches("blocker", "Cancelled")


def test_a_node_that_does_not_answer_keeps_its_task_cancelling_and_says_so(shared: Site) -> None:
    """Cancelled is not said while the worker may run: the pod is deleted, and the task stays Cancelling, with
    the condition Stalled, until the node answers or its pod is taken away."""
    task = shared.submit("deaf", name="deaf")
    shared.reaches("deaf", "Running")
    shared.cancel("deaf")
    name = names.pod_name(task["metadata"]["uid"], 1)
    shared.sees(lambda: "deletionTimestamp" in shared.observer.pods[name]["metadata"], "the pod is deleted")
    shared.sees(lambda: condition(shared.task("deaf"), "Stalled").get("status") == "True", "it is told")
    always(lambda: shared.task("deaf")["status"]["phase"] == "Cancelling", 1.5, what="it stays Cancelling")
    assert name in shared.observer.pods
    shared.delete("pods", name, gracePeriodSeconds=0)
    shared.ends("deaf", "Cancelled", "CancelTimeout")


def test_a_task_that_runs_for_long_says_so_once(sites: Sites) -> None:
    """A condition and one Event, also over a restart of the operator."""
    site = sites(long_running_seconds=1)
    operator = site.operator()
    task = site.submit("hang", name="long")
    uid = task["metadata"]["uid"]
    site.sees(lambda: condition(site.task("long"), "LongRunning").get("status") == "True", "it is told")

    def told() -> list[str]:
        return [event["reason"] for event in site.observer.events_of(uid)]

    site.sees(lambda: "LongRunning" in told(), "by an Event, too")
    operator.kill()
    site.operator()
    site.cancel("long")
    site.ends("long", "Cancelled", "CancelRequested")
    assert told().count("LongRunning") == 1


def test_who_cancelled_is_in_the_history(shared: Site) -> None:
    """As far as the cluster tells: the program that has set the field."""
    task = shared.submit("hang", name="whose")
    shared.reaches("whose", "Running")
    shared.cancel("whose")
    shared.ends("whose", "Cancelled", "CancelRequested")
    assert "urllib" in shared.row(task, "Cancelled")["cancel_actor"].lower()
