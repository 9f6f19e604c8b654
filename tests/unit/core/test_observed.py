"""Where an attempt is, and since when: the questions that the policies of ``decide`` share."""

from __future__ import annotations

import pytest

from querytask.api.metadata import Condition as ApiCondition
from querytask.core.observed import Stage
from querytask.names import Condition, Phase, Reason
from tests import builders as make

QUEUED, RUNNING = Phase.QUEUED, Phase.RUNNING
PENDING = Reason.POD_PENDING


def condition(kind: str, truth: str, since: float, reason: str = "PodCreated") -> ApiCondition:
    return ApiCondition(type=kind, status=truth, reason=reason, last_transition_time=make.ago(since))


STAGES = {
    "a task that nobody has looked at": (make.observed(), Stage.NONE),
    "waits in the line": (make.observed(make.task(status=make.shown(QUEUED))), Stage.NONE),
    "granted, and then a crash": (make.observed(memory=make.memory()), Stage.UNBORN),
    "the second one granted, the status still tells of the first": (
        make.observed(
            make.task(status=make.shown(QUEUED, Reason.BACKING_OFF, attempt=1)), memory=make.memory(attempt=2)
        ),
        Stage.UNBORN,
    ),
    "a pod that waits for a node": (make.observed(None, make.pod()), Stage.LIVE),
    "a pod that runs": (make.observed(None, make.running_pod(), memory=make.memory()), Stage.LIVE),
    "phase Failed, and the container still runs": (
        make.observed(None, make.running_pod(phase="Failed"), memory=make.memory()),
        Stage.LIVE,
    ),
    "the container has ended": (make.observed(None, make.ended_pod(), memory=make.memory()), Stage.ENDED),
    "the pod was deleted": (make.observed(None, make.gone_pod(), memory=make.memory()), Stage.ENDED),
    "evicted before its container started": (
        make.observed(None, make.pod(phase="Failed", reason="Evicted"), memory=make.memory()),
        Stage.ENDED,
    ),
    "the pod is gone without a trace, but its status was written": (
        make.observed(make.task(status=make.shown(QUEUED, PENDING, attempt=1)), memory=make.memory()),
        Stage.ENDED,
    ),
    "the pod is gone, but the worker left an outcome": (
        make.observed(memory=make.memory(), outcome=make.outcome()),
        Stage.ENDED,
    ),
    "the pod is gone, but the worker left its progress": (
        make.observed(memory=make.memory(), progress=make.progress()),
        Stage.ENDED,
    ),
    "given up, and its pod is gone": (
        make.observed(memory=make.memory(attempt_reason="StartTimeout")),
        Stage.ENDED,
    ),
    "given up was the attempt before": (
        make.observed(
            make.task(status=make.shown(QUEUED)),
            make.pod(2, gone=True),
            memory=make.memory(attempt_reason="WorkerLost", attempt_finished_at=make.ago(5)),
        ),
        Stage.ENDED,
    ),
    "lost, and recorded as lost": (
        make.observed(None, make.ended_pod(code=137), memory=make.memory(attempt_finished_at=make.ago(3))),
        Stage.CONCLUDED,
    ),
    "lost, recorded, and a stale pod shows life": (
        make.observed(None, make.running_pod(), memory=make.memory(attempt_finished_at=make.ago(3))),
        Stage.CONCLUDED,
    ),
    "backs off, and the history was lost": (
        make.observed(make.task(status=make.shown(QUEUED, Reason.BACKING_OFF, attempt=1))),
        Stage.CONCLUDED,
    ),
    "backs off, and the history could not take it": (
        make.observed(
            make.task(status=make.shown(QUEUED, Reason.BACKING_OFF, attempt=1)), memory=make.memory()
        ),
        Stage.ENDED,
    ),
}


@pytest.mark.parametrize(("o", "stage"), STAGES.values(), ids=STAGES)
def test_stage(o, stage):
    """The stage follows from cluster, mailbox and history together, and none of them is enough alone."""
    assert o.stage is stage


def test_the_current_attempt_is_the_highest_anybody_knows():
    """A history, a status or a pod that lags behind does not take an attempt back."""
    queued = make.task(status=make.shown(QUEUED, attempt=1))
    assert make.observed(queued, memory=make.memory(attempt=2)).attempt == 2
    assert make.observed(queued, make.pod(3), memory=make.memory(attempt=2)).attempt == 3
    assert make.observed(queued).attempt == 1
    assert make.observed().attempt == 0


def test_the_pod_is_that_of_the_current_attempt():
    """An earlier attempt's pod is never taken for the current one's."""
    first, second = make.ended_pod(1), make.running_pod(2)
    assert make.observed(None, first, second).pod == second
    assert make.observed(None, first, memory=make.memory(attempt=2)).pod is None


@pytest.mark.parametrize(
    ("pods", "fields", "expected"),
    [
        pytest.param([make.running_pod()], {}, [], id="the current one"),
        pytest.param([make.running_pod(1), make.pod(2)], {}, [1], id="an earlier one that runs"),
        pytest.param([make.ended_pod(1), make.pod(2)], {}, [], id="an earlier one that has ended"),
        pytest.param([make.gone_pod(1), make.pod(2)], {}, [], id="an earlier one that is gone"),
        pytest.param(
            [make.running_pod()],
            {"memory": make.memory(attempt_finished_at=make.ago(1))},
            [1],
            id="one whose attempt was concluded",
        ),
    ],
)
def test_leftovers(pods, fields, expected):
    """A pod that may run though its attempt is over is told apart from the current one."""
    assert [pod.attempt for pod in make.observed(None, *pods, **fields).leftovers] == expected


def test_the_slot_was_granted_when_the_history_says():
    """The history knows when the current attempt got its slot; without it the pod's creation has to do."""
    assert make.observed(
        None, make.pod(), memory=make.memory(granted_at=make.ago(50))
    ).granted_at == make.ago(50)
    assert make.observed(None, make.pod(created_at=make.ago(7))).granted_at == make.ago(7)
    later = make.observed(
        None, make.pod(2, created_at=make.ago(7)), memory=make.memory(granted_at=make.ago(50))
    )
    assert later.granted_at == make.ago(7), "that was the attempt before"
    assert make.observed(memory=make.memory(attempt=0)).granted_at is None


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param((), None, id="nobody has seen the pod yet"),
        pytest.param((condition(Condition.SCHEDULED, "False", 5),), None, id="gated"),
        pytest.param((condition(Condition.SCHEDULED, "True", 80),), make.ago(50), id="never gated"),
        pytest.param((condition(Condition.SCHEDULED, "True", 5),), make.ago(5), id="gated until lately"),
    ],
)
def test_the_start_clock(conditions, expected):
    """It runs from the slot, and stands while another system holds the pod back."""
    status = make.shown(QUEUED, PENDING, attempt=1, conditions=conditions)
    o = make.observed(
        make.task(status=status), make.pending_pod(), memory=make.memory(granted_at=make.ago(50))
    )
    assert o.starting_since == expected


def test_a_container_that_was_seen_started_has_started():
    """What the status has said of this attempt stays true when the kubelet no longer says it."""
    running = make.shown(RUNNING, attempt=1, started_at=make.ago(30))
    assert make.observed(make.task(status=running), make.pending_pod()).started_at == make.ago(30)
    assert make.observed(make.task(status=running), make.running_pod()).started_at == make.ago(5)
    assert make.observed(make.task(status=running), make.pending_pod(2)).started_at is None
    assert make.observed(None, make.pending_pod()).started_at is None


@pytest.mark.parametrize(
    ("o", "cancel", "timeout"),
    [
        pytest.param(make.observed(None, make.running_pod()), False, False, id="nothing"),
        pytest.param(make.observed(make.task(cancel=True)), True, False, id="the spec"),
        pytest.param(
            make.observed(make.task(status=make.shown(Phase.CANCELLING))), True, False, id="it was begun"
        ),
        pytest.param(make.observed(None, make.running_pod(stop="timeout")), False, True, id="the annotation"),
        pytest.param(
            make.observed(None, make.running_pod(stop="cancel")), False, False, id="another annotation"
        ),
        pytest.param(
            make.observed(memory=make.memory(attempt_reason="Timeout")), False, True, id="the history's note"
        ),
        pytest.param(
            make.observed(None, make.pod(2), memory=make.memory(attempt_reason="Timeout")),
            False,
            False,
            id="the note of the attempt before",
        ),
    ],
)
def test_what_was_asked(o, cancel, timeout):
    """A stop is named by what was asked for, and by nothing else."""
    assert (o.asked.cancel, o.asked.timeout) == (cancel, timeout)


def test_a_task_of_the_cluster_has_a_creation_time():
    """A task without one is no task of the cluster, and that is said."""
    with pytest.raises(ValueError, match=r"metadata\.creationTimestamp of a QueryTask .* must be set"):
        _ = make.observed(make.task(metadata={"creationTimestamp": None})).created_at
