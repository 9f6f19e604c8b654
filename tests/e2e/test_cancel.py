"""`Cancelled` is true: the engine has stopped, its pod is gone, and no part of a file is left."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from scripts.kube import CommandFailed, until
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS
from tests.e2e.kit.watch import Witness

WRITING = "SELECT i, hash(i) AS h FROM range(100000000000) t(i)"
"""Writes its file from the first second on, and would fill any disk."""
DEAF = "SELECT levenshtein(repeat('ab', 100000), repeat('ba', 100000)) AS distance"
"""Is folded while it is planned, and hears no interrupt meanwhile."""


def test_running(site: Site, witness: Witness) -> None:
    """A task that writes a file is interrupted: Cancelling, then Cancelled; no pod, no partial file."""
    task = site.running("cancelled-while-writing", WRITING, export={"format": "CSV", "compression": "Gzip"})
    uid, pod = task["metadata"]["uid"], task["status"]["podName"]
    until("the file to be written", lambda: "1/export.partial" in site.files(uid))
    site.kube("annotate", "querytask/cancelled-while-writing", "querytask.dev/cancel-reason=the wrong month")

    site.cancel("cancelled-while-writing")

    status = site.ended("cancelled-while-writing")["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "CancelRequested")
    assert (status["cancel"]["step"], status["cancel"]["reason"]) == ("Interrupted", "the wrong month")
    asked, finished = (
        dt.datetime.fromisoformat(status["cancel"][key]) for key in ("requestedAt", "finishedAt")
    )
    assert dt.timedelta(0) <= finished - asked < dt.timedelta(seconds=15)
    assert witness.phases(uid) == ["Queued", "Running", "Cancelling", "Cancelled"]
    assert {file for file in site.files(uid) if not file.startswith("1/_")} == set()
    site.pod_gone(pod)
    (row,) = site.history("SELECT phase, cancel_reason, cancel_step FROM tasks WHERE uid = ?", uid)
    assert row == {"phase": "Cancelled", "cancel_reason": "the wrong month", "cancel_step": "Interrupted"}
    told = json.loads(site.kube("events", "--for", "querytask/cancelled-while-writing", "-o", "json"))[
        "items"
    ]
    assert any("the wrong month" in item["message"] for item in told)


def test_deaf_statement(site: Site) -> None:
    """A statement that hears no interrupt is killed after two seconds, and the object says so."""
    pod = site.running("cancelled-while-deaf", DEAF)["status"]["podName"]
    # The container runs before the statement does; one that has not begun hears.
    until("the statement to begin", lambda: "SELECT count(*), list(cells)" in site.kube("logs", pod))

    site.cancel("cancelled-while-deaf")

    status = site.ended("cancelled-while-deaf", 60)["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "CancelRequested")
    assert status["cancel"]["step"] == "Killed"


@pytest.fixture
def one_slot(small: Site) -> Site:
    """The only slot is taken by a task that runs for days."""
    small.running("holds-the-slot", ENDLESS)
    return small


def test_waiting_for_a_slot(one_slot: Site) -> None:
    """A task that waits is cancelled at once and never has a pod; the one that runs goes on."""
    uid = one_slot.submit("cancelled-in-the-queue", "SELECT 42")["metadata"]["uid"]
    until(
        "the task to wait",
        lambda: one_slot.status("cancelled-in-the-queue").get("reason") == "WaitingForSlot",
    )

    one_slot.cancel("cancelled-in-the-queue")

    status = one_slot.ended("cancelled-in-the-queue", 30)["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "CancelRequested")
    assert {"attempt", "podName", "startedAt"}.isdisjoint(status)
    assert one_slot.history("SELECT * FROM attempts WHERE uid = ?", uid) == []
    assert one_slot.status("holds-the-slot")["phase"] == "Running"
    one_slot.delete("holds-the-slot")


def test_in_the_same_second(site: Site, witness: Witness) -> None:
    """A task that is created cancelled is Cancelled and never has a pod."""
    task = site.run("cancelled-at-birth", "SELECT 42", cancel=True)

    assert task["status"]["phase"] == "Cancelled"
    assert witness.pods_of(task["metadata"]["uid"]) == set()


def test_finished(site: Site) -> None:
    """A task that has its end refuses to be cancelled, with a sentence that names the field and the phase."""
    site.run("finished-before", "SELECT 42")

    with pytest.raises(CommandFailed, match=r"spec\.cancel must not change .*; it is Succeeded"):
        site.cancel("finished-before")


def test_twice(site: Site) -> None:
    """A second request changes nothing; taking one back is refused."""
    site.running("cancelled-twice", ENDLESS)
    site.cancel("cancelled-twice")
    first = site.reached("cancelled-twice", "Cancelled")["status"]
    site.cancel("cancelled-twice")

    with pytest.raises(CommandFailed, match=r"spec\.cancel must"):
        site.kube(
            "patch", "querytask", "cancelled-twice", "--type=merge", '--patch={"spec":{"cancel":false}}'
        )

    assert site.status("cancelled-twice") == first
