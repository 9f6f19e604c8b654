"""Why a worker has not started: what is said, and which reason it becomes."""

from __future__ import annotations

import pytest

from querytask.core import starting
from querytask.names import Phase, Reason
from tests import builders as make
from tests.unit.core.deciding import at, scheduled, since_then

NAME = f"qt-{make.UID}-1"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, f"pod {NAME} is starting"),
        ({"node": "a", "waiting_reason": "ContainerCreating"}, f"pod {NAME} is starting"),
        ({"waiting_reason": "PodInitializing"}, f"pod {NAME} is starting"),
        ({"gated": True, "unschedulable": "x"}, f"pod {NAME} is held back by a scheduling gate"),
        ({"unschedulable": "0/3 nodes"}, f"pod {NAME} finds no node: 0/3 nodes"),
        (
            {"waiting_reason": "ErrImagePull", "waiting_message": "not found"},
            f"the image of pod {NAME} cannot be pulled: ErrImagePull: not found",
        ),
        ({"waiting_reason": "CreateContainerError"}, f"pod {NAME} cannot start: CreateContainerError"),
    ],
)
def test_progress(fields, sentence):
    """One sentence for each thing that a pod can wait for."""
    assert starting.progress(make.pod(**fields)) == sentence


def test_an_ordinary_start_is_always_told_in_the_same_words():
    """Another message is another write, and a thousand tasks start."""
    assert starting.waiting(NAME) == starting.progress(make.pod()) == starting.progress(make.pending_pod())


@pytest.mark.parametrize("reason", sorted(starting.IMAGE_REASONS))
def test_every_fault_of_an_image_is_one(reason):
    """Whatever the kubelet calls it."""
    assert starting.failure(make.pod(waiting_reason=reason), "")[0] is Reason.IMAGE_PULL_FAILED


@pytest.mark.parametrize(
    ("fields", "mount", "reason", "words"),
    [
        ({"unschedulable": "0/3 nodes"}, "", Reason.UNSCHEDULABLE, "0/3 nodes"),
        ({"unschedulable": "0/3 nodes"}, "no claim", Reason.UNSCHEDULABLE, "0/3 nodes"),
        ({"waiting_reason": "ErrImagePull"}, "no claim", Reason.IMAGE_PULL_FAILED, "cannot be pulled"),
        ({"waiting_reason": "ContainerCreating"}, "no claim", Reason.VOLUME_NOT_MOUNTED, "mounted: no claim"),
        ({"waiting_reason": "ContainerCreating"}, "", Reason.START_TIMEOUT, "within the start deadline"),
        ({"waiting_reason": "CreateContainerError"}, "", Reason.START_TIMEOUT, "CreateContainerError"),
    ],
)
def test_failure(fields, mount, reason, words):
    """What is surest comes first: the scheduler, the image, then the volumes."""
    found, sentence = starting.failure(make.pod(**fields), mount)
    assert found is reason
    assert words in sentence


def test_a_vanished_pod():
    """Of a pod that nobody has seen only what the status has said is known."""
    unseen = starting.vanished(make.observed(memory=make.memory()))
    assert (unseen.name, unseen.owner_uid, unseen.attempt) == (NAME, make.UID, 1)
    assert (unseen.ended, unseen.started, unseen.created_at) == (True, False, make.ago(10))
    running = make.observed(at(Phase.RUNNING, attempt=1, started_at=make.ago(5)), memory=make.memory())
    assert starting.vanished(running).started_at == make.ago(5)


def test_since_when():
    """Two waits hang on a condition: for missing sources, and of a lost attempt without a history."""
    false = since_then("SourcesReady", 30, "False", "SourceNotFound")
    assert starting.sources_missing_since(make.observed(at(Phase.QUEUED, conditions=false))) == make.ago(30)
    true = since_then("SourcesReady", 30, "True", "SourcesReady")
    assert starting.sources_missing_since(make.observed(at(Phase.QUEUED, conditions=true))) is None
    assert starting.sources_missing_since(make.observed()) is None
    backing = make.observed(at(Phase.QUEUED, conditions=scheduled(20, "False", "BackingOff")))
    assert starting.backing_off_since(backing) == make.ago(20)
    assert starting.backing_off_since(make.observed(at(Phase.QUEUED, conditions=scheduled()))) is None
    assert starting.backing_off_since(make.observed()) is None
