"""A worker that is taken away: another attempt where the infrastructure did it, else a clear end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from scripts.kube import CommandFailed
from tests.e2e.kit import node
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS, LONG
from tests.e2e.kit.watch import Witness


def delete_pod(site: Site, pod: str) -> None:
    site.kube("delete", "pod", pod, "--wait=false")


def kill(site: Site, pod: str) -> None:
    node.kill_first_process(site, pod)


@pytest.mark.parametrize(
    "take_away", [delete_pod, pytest.param(kill, marks=node.needed)], ids=["pod-deleted", "killed"]
)
def test_another_attempt(site: Site, witness: Witness, take_away: Callable[[Site, str], None]) -> None:
    """After a pod that is deleted, or a worker killed with -9, a second attempt succeeds."""
    name = f"lost-by-{take_away.__name__.replace('_', '-')}"
    retry = {"limit": 1, "backoff": "1s"}
    task = site.running(name, LONG, export={"format": "Parquet"}, retry=retry)
    uid = task["metadata"]["uid"]

    take_away(site, task["status"]["podName"])

    status = site.ended(name)["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("Succeeded", "Completed", 2)
    assert status["export"]["path"] == f"{site.namespace}/{uid}/2/{name}.parquet"
    assert len(witness.pods_of(uid)) == 2
    lost, won = site.history("SELECT reason, message FROM attempts WHERE uid = ? ORDER BY attempt", uid)
    assert (lost["reason"], won["reason"]) == ("WorkerLost", "Completed")
    assert task["status"]["podName"] in lost["message"]
    reasons = [row["reason"] for row in site.history("SELECT reason FROM transitions WHERE uid = ?", uid)]
    assert "BackingOff" in reasons


def test_no_third_attempt(site: Site) -> None:
    """Where no other attempt may follow, a lost worker is the end, and it says so."""
    task = site.running("lost-for-good", ENDLESS, retry={"limit": 0})

    site.kube("delete", "pod", task["status"]["podName"], "--wait=false")

    status = site.ended("lost-for-good")["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "WorkerLost", 1)
    assert status["error"]["retryable"] is True


def test_engine_killed(site: Site) -> None:
    """An engine process that is killed from outside is told by its supervisor: an end, and no second try."""
    task = site.running("engine-killed", ENDLESS)

    site.execute(task["status"]["podName"], "sh", "-c", "kill -9 -1")

    status = site.ended("engine-killed")["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "InternalError", 1)
    assert "SIGKILL" in status["message"]


def test_killed_for_memory(site: Site) -> None:
    """An engine process that the kernel kills for memory ends as OutOfMemory, told by its supervisor."""
    task = site.running("killed-for-memory", ENDLESS)
    hog = "bytearray(400 * 2**20)"

    with contextlib.suppress(CommandFailed):  # it is killed, too, at the latest with the container
        site.execute(task["status"]["podName"], "python3", "-c", hog)

    status = site.ended("killed-for-memory")["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "OutOfMemory", 1)
    assert "memory" in status["message"]
