"""Another attempt: only for faults of the infrastructure, after a wait that doubles, without a slot."""

from __future__ import annotations

import datetime as dt

import pytest

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.site import Site

QUICK = {"limit": 2, "backoff": "1s"}


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ("exit code=137", "WorkerLost"),
        ("evicted", "Evicted"),
        ("rejected", "PodRejected"),
        ("node_lost", "NodeLost"),
        ("vanish", "WorkerLost"),
    ],
)
def test_a_lost_worker_is_replaced(scene: str, reason: str, shared: Site) -> None:
    """The task backs off and its second attempt, in a pod of its own, succeeds; the history has both."""
    name = f"lost-{scene.partition(' ')[0].replace('_', '-')}"
    task = shared.submit(scene, "succeed after=1.2", name=name, retry=QUICK)
    status = shared.succeeds(name)
    uid = task["metadata"]["uid"]
    assert (status["attempt"], status["podName"]) == (2, names.pod_name(uid, 2))
    steps = shared.observer.steps(uid)
    assert ("Queued", "BackingOff", 1) in steps
    assert steps[-2:] == [("Running", "Started", 2), ("Succeeded", "Completed", 2)]
    shared.row(task, "Succeeded")
    assert [row["reason"] for row in shared.history.attempts(uid)] == [reason, "Completed"]
    assert [pod for pod, _ in shared.kubelet.played if uid in pod] == [
        names.pod_name(uid, 1),
        names.pod_name(uid, 2),
    ]


def test_the_wait_doubles(shared: Site) -> None:
    """The second attempt comes after ``backoff``, the third after twice that."""
    task = shared.submit("exit code=137", "exit code=137", "succeed", name="doubling", retry=QUICK)
    assert shared.succeeds("doubling")["attempt"] == 3
    first, second, third = shared.history.attempts(task["metadata"]["uid"])
    assert 1000 <= second["granted_at"] - first["finished_at"] < 3900
    assert 2000 <= third["granted_at"] - second["finished_at"] < 6900


def test_after_the_last_attempt_the_task_has_failed(shared: Site) -> None:
    """``retry.limit`` counts the attempts after the first; then the reason of the last one is the task's."""
    task = shared.submit("exit code=137", name="given-up", retry={"limit": 1, "backoff": "1s"})
    status = shared.ends("given-up", "Failed", "WorkerLost")
    assert status["attempt"] == 2
    assert len(shared.history.attempts(task["metadata"]["uid"])) == 2
    shared.no_pods(task)


def test_a_task_says_why_it_backs_off_and_for_how_long(shared: Site) -> None:
    """While it waits it is Queued, BackingOff; the message names the fault and the wait."""
    shared.submit("oom", "succeed", name="why-not", retry=QUICK)
    shared.ends("why-not", "Failed", "OutOfMemory")
    shared.submit("exit code=137", "succeed", name="why", retry={"limit": 1, "backoff": "2s"})
    task = shared.reaches("why", "Queued", reason="BackingOff")
    message = task["status"]["message"]
    assert "WorkerLost" in message
    assert "2 s" in message
    assert "startedAt" not in task["status"]
    shared.succeeds("why")


def test_a_published_result_ends_all_attempts(shared: Site) -> None:
    """A worker that published and was lost has succeeded: there is no second attempt."""
    task = shared.submit("succeed quiet=yes vanish=yes", name="published-lost", retry=QUICK)
    assert shared.succeeds("published-lost")["attempt"] == 1
    assert len(shared.history.attempts(task["metadata"]["uid"])) == 1


def test_backing_off_holds_no_slot(sites: Sites) -> None:
    """With one slot another task runs while the first one waits for its next attempt."""
    site = sites(max_running=1)
    site.operator()
    site.submit("exit code=137", "succeed", name="first", retry={"limit": 1, "backoff": "8s"})
    site.reaches("first", "Queued", reason="BackingOff")
    site.submit("succeed", name="second")
    site.succeeds("second")
    assert site.task("first")["status"]["reason"] == "BackingOff"
    site.succeeds("first")


def test_the_wait_survives_a_restart(site: Site) -> None:
    """An operator that was killed while a task backed off goes on waiting for the rest, not anew, and does
    not start at once."""
    operator = site.operator()
    task = site.submit("exit code=137", "succeed", name="patient", retry={"limit": 1, "backoff": "5s"})
    site.reaches("patient", "Queued", reason="BackingOff")
    operator.kill()
    site.operator()
    site.succeeds("patient")
    lost, second = site.history.attempts(task["metadata"]["uid"])
    waited = dt.timedelta(milliseconds=second["granted_at"] - lost["finished_at"])
    assert dt.timedelta(seconds=5) <= waited < dt.timedelta(seconds=9)
