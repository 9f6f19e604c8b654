"""What is read from a raw pod: as kubelets, schedulers and controllers write it."""

from __future__ import annotations

import datetime as dt

import pytest

from querytask import names
from querytask.core import podstate
from querytask.core.podstate import PodState, Terminated
from tests import builders as make

STARTED = dt.datetime(2026, 11, 22, 11, 59, 55, tzinfo=dt.UTC)
ENDED = dt.datetime(2026, 11, 22, 11, 59, 58, tzinfo=dt.UTC)
RUNNING = {"running": {"startedAt": "2026-11-22T11:59:55Z"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}


def terminated(code: int = 0, reason: str = "Completed", **fields) -> dict:
    times = {"startedAt": "2026-11-22T11:59:55Z", "finishedAt": "2026-11-22T11:59:58Z"}
    return {
        "terminated": {"exitCode": code, "reason": reason, "containerID": "containerd://1", **times} | fields
    }


def unscheduled(reason: str, message: str = "") -> dict:
    return {"conditions": [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]}


def read(**fields) -> PodState:
    return podstate.read(make.raw_pod(**fields))


def test_identity():
    """Name, uid, owner, attempt, age and version come from the metadata."""
    found = read(attempt=3)
    assert (found.name, found.uid, found.attempt) == (names.pod_name(make.UID, 3), "pod-3", 3)
    assert found.owner_uid == make.UID
    assert found.created_at == dt.datetime(2026, 11, 22, 11, 59, 50, tzinfo=dt.UTC)
    assert found.version == 200


CASES = {
    "just created": ({}, {}, (False, False)),
    "no node fits": (
        {"status": unscheduled("Unschedulable", "0/1 nodes are available")},
        {"unschedulable": "0/1 nodes are available"},
        (False, False),
    ),
    "held back by a gate": ({"status": unscheduled("SchedulingGated")}, {"gated": True}, (False, False)),
    "on a node": (
        {"node": "a", "container": CREATING},
        {"node": "a", "waiting_reason": "ContainerCreating"},
        (False, False),
    ),
    "image pull back-off": (
        {
            "node": "a",
            "container": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}},
        },
        {"waiting_reason": "ImagePullBackOff", "waiting_message": 'Back-off pulling image "x"'},
        (False, False),
    ),
    "running": (
        {"node": "a", "container": RUNNING, "status": {"phase": "Running"}},
        {"running": True, "started_at": STARTED, "phase": "Running"},
        (True, False),
    ),
    "completed": (
        {"container": terminated(), "status": {"phase": "Succeeded"}},
        {"started_at": STARTED, "terminated": Terminated(0, "Completed", "", ENDED)},
        (True, True),
    ),
    "failed, with a message": (
        {"container": terminated(10, "Error", message="{}"), "status": {"phase": "Failed"}},
        {"terminated": Terminated(10, "Error", "{}", ENDED)},
        (True, True),
    ),
    "terminated, and the phase lags behind": (
        {"container": terminated(), "status": {"phase": "Running"}},
        {"terminated": Terminated(0, "Completed", "", ENDED)},
        (True, True),
    ),
    "ended by a signal": (
        {"container": terminated(137, "Error", signal=9)},
        {"terminated": Terminated(137, "Error", "", ENDED, 9)},
        (True, True),
    ),
    "phase Failed, and the container still runs": (
        {"container": RUNNING, "status": {"phase": "Failed", "reason": "DeadlineExceeded"}},
        {"running": True, "reason": "DeadlineExceeded", "phase": "Failed"},
        (True, False),
    ),
    "evicted before it started": (
        {
            "status": {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory.",
            }
        },
        {"reason": "Evicted", "message": "The node was low on resource: memory.", "started_at": None},
        (False, True),
    ),
    "rejected while it was being created": (
        {"container": CREATING, "status": {"phase": "Failed", "reason": "UnexpectedAdmissionError"}},
        {"reason": "UnexpectedAdmissionError", "started_at": None},
        (False, True),
    ),
    "the kubelet never saw it start": (
        {
            "container": terminated(
                137, "ContainerStatusUnknown", startedAt="1970-01-01T00:00:00Z", finishedAt=None
            ),
            "status": {"phase": "Failed"},
        },
        {"started_at": None, "terminated": Terminated(137, "ContainerStatusUnknown", "", None)},
        (False, True),
    ),
    "a taint has taken it": (
        {
            "container": RUNNING,
            "status": {
                "conditions": [
                    {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
                ]
            },
        },
        {"disruption": "DeletionByTaintManager"},
        (True, False),
    ),
    "a disruption that is over": (
        {
            "status": {
                "conditions": [
                    {"type": "DisruptionTarget", "status": "False", "reason": "PreemptionByScheduler"}
                ]
            }
        },
        {"disruption": ""},
        (False, False),
    ),
    "being deleted": (
        {"metadata": {"deletionTimestamp": "2026-11-22T12:00:00Z"}},
        {"deleting": True},
        (False, False),
    ),
    "being stopped": (
        {"metadata": {"annotations": {names.STOP_ANNOTATION: "timeout"}}},
        {"stop": "timeout"},
        (False, False),
    ),
    "its volumes are mounted": (
        {"status": {"conditions": [{"type": "PodReadyToStartContainers", "status": "True"}]}},
        {"sandbox_ready": True},
        (False, False),
    ),
    "its volumes are not mounted": (
        {"status": {"conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]}},
        {"sandbox_ready": False},
        (False, False),
    ),
}


@pytest.mark.parametrize(("raw", "fields", "state"), CASES.values(), ids=CASES)
def test_read(raw, fields, state):
    """Everything that a policy asks of a pod, and nothing that it does not say."""
    found = read(**raw)
    assert {name: getattr(found, name) for name in fields} == fields
    assert (found.started, found.ended) == state


def test_a_pod_that_is_gone_has_ended():
    """Whatever was last seen of it."""
    assert make.gone_pod().ended
    assert make.pod(gone=True).ended
    assert not make.pod(gone=True).started


def test_only_our_container_counts():
    """Another container, as a mesh may inject one, tells nothing of the worker."""
    raw = make.raw_pod(container=CREATING)
    raw["status"]["containerStatuses"].insert(0, {"name": "proxy", "state": terminated(1)})
    found = podstate.read(raw)
    assert (found.waiting_reason, found.terminated) == ("ContainerCreating", None)


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [{"kind": names.TASK_KIND, "uid": make.UID, "controller": False}],
        [{"kind": "Job", "uid": make.UID, "controller": True}],
    ],
)
def test_a_pod_that_no_task_controls_has_no_owner(owners):
    """An owner is the controlling QueryTask, and nobody else."""
    raw = make.raw_pod(metadata={"ownerReferences": owners})
    assert podstate.owner_uid(raw) == ""


@pytest.mark.parametrize("labels", [{}, {names.ATTEMPT_LABEL: "first"}, {names.ATTEMPT_LABEL: ""}])
def test_a_label_that_is_missing_or_no_number_is_no_attempt(labels):
    """Attempt 0 is one that no task has."""
    assert read(metadata={"labels": labels}).attempt == 0
