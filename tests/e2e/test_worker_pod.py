"""What a worker's pod is and may: seen from outside by its spec, and from inside by trying."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.kube import CommandFailed
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS


@pytest.fixture(scope="module")
def task(site: Site) -> Iterator[dict]:
    """A task that runs as long as these tests do."""
    yield site.running("inspected", ENDLESS, sources=["flights"])
    site.delete("inspected")


@pytest.fixture(scope="module")
def pod(site: Site, task: dict) -> dict:
    """Its pod."""
    (found,) = site.pods(task["metadata"]["uid"])
    return found


def test_owner(task: dict, pod: dict) -> None:
    """The pod belongs to its task, so that it goes with it, and blocks nobody's deletion."""
    assert pod["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "querytask.dev/v1alpha1",
            "kind": "QueryTask",
            "name": "inspected",
            "uid": task["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_name(task: dict, pod: dict) -> None:
    """The pod's name follows from the task's uid and the attempt, and the status tells it."""
    assert pod["metadata"]["name"] == task["status"]["podName"] == f"qt-{task['metadata']['uid']}-1"


def test_namespace_takes_restricted_pods_only(site: Site) -> None:
    """The namespace refuses a pod that is not restricted, so every pod here is."""
    with pytest.raises(CommandFailed, match=r'violates PodSecurity "restricted'):
        site.kube("run", "not-restricted", "--image=localhost/any", "--restart=Never")


def test_no_credentials(site: Site, pod: dict) -> None:
    """No token of a ServiceAccount is in the pod."""
    volumes = {name for volume in pod["spec"]["volumes"] for name in volume if name != "name"}

    assert pod["spec"]["automountServiceAccountToken"] is False
    assert volumes == {"persistentVolumeClaim", "emptyDir"}
    with pytest.raises(CommandFailed, match="No such file or directory"):
        site.execute(pod["metadata"]["name"], "ls", "/var/run/secrets/kubernetes.io/serviceaccount")


def test_runs_as_nobody_in_particular(site: Site, pod: dict) -> None:
    """The worker is not root."""
    assert site.execute(pod["metadata"]["name"], "id", "-u").strip() == "65532"


@pytest.mark.parametrize("place", ["/file", "/tmp/file", "/opt/querytask/app/file", "/data/flights/file"])
def test_cannot_write(site: Site, pod: dict, place: str) -> None:
    """The root file system and the sources are read-only."""
    with pytest.raises(CommandFailed, match="Read-only file system"):
        site.execute(pod["metadata"]["name"], "touch", place)


def test_sees_only_its_own_task(site: Site, pod: dict) -> None:
    """Of the exports volume the worker sees the directory of its task alone."""
    assert site.execute(pod["metadata"]["name"], "ls", "-A", "/task").split() == ["1"]


def test_network_policy(site: Site, pod: dict) -> None:
    """A policy selects the worker's pod and lets nothing in or out."""
    labels = pod["metadata"]["labels"].items()
    (policy,) = [
        found
        for found in site.kube.items("networkpolicies")
        if found["spec"]["podSelector"]["matchLabels"].items() <= labels
    ]

    assert sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    assert not policy["spec"].get("egress")
    assert not policy["spec"].get("ingress")
