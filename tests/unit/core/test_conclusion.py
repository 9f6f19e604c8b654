"""How an attempt ended, from its outcome, its pod and what was asked of it: bad weather, row by row."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from querytask.core import conclusion
from querytask.core.conclusion import Asked
from querytask.names import RETRIED_REASONS, CancelStep, Phase, Reason
from querytask_worker.contract import Error, ExitCode, dump
from tests import builders as make

NOTHING, CANCEL, TIMEOUT = Asked(False, False), Asked(True, False), Asked(False, True)
BOTH = Asked(True, True)
STOPPED = make.outcome(ExitCode.STOPPED, step="Interrupted")
KILLED = make.outcome(ExitCode.STOPPED, step="Killed")
FAULTS = [code for code in ExitCode if code not in (ExitCode.COMPLETED, ExitCode.STOPPED)]


def end(pod=None, outcome=None, asked: Asked = NOTHING) -> Any:
    return conclusion.of_attempt(outcome, pod or make.ended_pod(), asked)


# a worker that has told its end


@pytest.mark.parametrize("asked", [NOTHING, CANCEL, TIMEOUT, BOTH])
@pytest.mark.parametrize("pod", [make.ended_pod(code=10), make.ended_pod(code=137), make.gone_pod()])
@pytest.mark.parametrize("code", FAULTS)
def test_the_worker_is_believed_before_the_kubelet(code, pod, asked):
    """An outcome with a fault is the end, whatever the pod looks like and whatever was asked: it had failed
    before the stop took effect."""
    found = end(pod, make.outcome(code), asked)
    assert (found.phase, found.reason) == (Phase.FAILED, Reason(code.reason))
    assert found.message == f"the worker says {code.reason}"
    assert found.at == make.ago(2)
    assert found.error.position == "1:8"
    assert not found.retried


@pytest.mark.parametrize(
    ("outcome", "step"), [(STOPPED, CancelStep.INTERRUPTED), (KILLED, CancelStep.KILLED)]
)
@pytest.mark.parametrize("asked", [CANCEL, BOTH])
def test_a_stop_that_was_asked_for_is_a_cancellation(outcome, step, asked):
    """How far it had to go is what the supervisor saw."""
    found = end(make.ended_pod(code=21, stop="cancel"), outcome, asked)
    assert (found.phase, found.reason) == (Phase.CANCELLED, Reason.CANCEL_REQUESTED)
    assert (found.cancel_step, found.at) == (step, make.ago(2))


def test_a_stop_for_the_timeout_is_a_timeout():
    """The operator had asked for it, so it knows the reason."""
    for pod in (make.ended_pod(code=21, stop="timeout"), make.gone_pod(stop="timeout")):
        found = end(pod, STOPPED, TIMEOUT)
        assert (found.phase, found.reason) == (Phase.FAILED, Reason.TIMEOUT)
    assert end(make.gone_pod(), None, TIMEOUT).reason is Reason.TIMEOUT


STOPPED_BY_OTHERS = {
    "deleted by hand": (make.gone_pod(), Reason.WORKER_LOST),
    "evicted through the API": (make.ended_pod(code=21, disruption="EvictionByEvictionAPI"), Reason.EVICTED),
    "evicted by the kubelet": (make.ended_pod(code=21, reason="Evicted", message="disk"), Reason.EVICTED),
    "preempted": (make.ended_pod(code=21, disruption="PreemptionByScheduler"), Reason.EVICTED),
    "the node shuts down": (make.ended_pod(code=21, disruption="TerminationByKubelet"), Reason.EVICTED),
    "its node is tainted": (make.ended_pod(code=21, disruption="DeletionByTaintManager"), Reason.NODE_LOST),
    "active for too long": (make.ended_pod(code=21, reason="DeadlineExceeded"), Reason.TIMEOUT),
}


@pytest.mark.parametrize(("pod", "reason"), STOPPED_BY_OTHERS.values(), ids=STOPPED_BY_OTHERS)
def test_a_stop_that_nobody_here_asked_for_is_the_pods_own_fault(pod, reason):
    """A SIGTERM says stop, not why: the pod says who it was."""
    found = end(pod, STOPPED)
    assert (found.phase, found.reason) == (Phase.FAILED, reason)
    assert found.retried is (reason in RETRIED_REASONS)
    assert found.outcome == STOPPED
    if reason is Reason.WORKER_LOST:
        assert found.message.endswith("was stopped, and not by the operator")


def test_a_worker_that_says_completed_without_a_manifest_has_failed():
    """The manifest is the commit point; without it nothing has succeeded."""
    found = end(make.ended_pod(), make.outcome(ExitCode.COMPLETED))
    assert (found.phase, found.reason) == (Phase.FAILED, Reason.INTERNAL_ERROR)
    assert "no manifest" in found.message


def test_an_exit_code_of_another_release():
    """It is an internal error; its own word for it is no reason of ours, and starts no retry."""
    for reason in ("Exploded", "WorkerLost", "Completed"):
        odd = dataclasses.replace(make.outcome(), exit_code=99, reason=reason, error=None)
        found = end(make.ended_pod(code=99), odd)
        assert (found.reason, found.message) == (Reason.INTERNAL_ERROR, "the worker ended with exit code 99")


# a worker that has told nothing


def rejected(reason: str):
    return make.pod(phase="Failed", reason=reason)


TOLD_NOTHING = {
    "never started, and nobody looked": (
        make.pending_pod(phase="Failed", reason="DeadlineExceeded"),
        Reason.START_TIMEOUT,
        "did not start within its activeDeadlineSeconds",
    ),
    "deleted": (make.gone_pod(), Reason.WORKER_LOST, "is gone without"),
    "killed with -9": (make.ended_pod(code=137), Reason.WORKER_LOST, "was ended by signal 9 without"),
    "ended by a signal": (make.ended_pod(code=139), Reason.WORKER_LOST, "signal 11"),
    "its exit code is none of ours": (make.ended_pod(code=1), Reason.WORKER_LOST, "ended without"),
    "exit code 0": (make.ended_pod(code=0), Reason.WORKER_LOST, "ended without having told"),
    "exit code 21": (make.ended_pod(code=21), Reason.WORKER_LOST, "ended without having told"),
    "it could not be started": (
        make.ended_pod(code=128, why="StartError", started_at=None),
        Reason.WORKER_LOST,
        "ended without",
    ),
    "its state is unknown": (
        make.ended_pod(code=137, why="ContainerStatusUnknown", started_at=None),
        Reason.WORKER_LOST,
        "signal 9",
    ),
    "out of memory": (make.ended_pod(code=137, why="OOMKilled"), Reason.OUT_OF_MEMORY, "more memory than"),
    "evicted": (
        make.ended_pod(code=137, reason="Evicted", message="The node was low on memory."),
        Reason.EVICTED,
        "was evicted: The node was low on memory.",
    ),
    "evicted before it started": (
        make.pod(phase="Failed", reason="Evicted", message="disk pressure"),
        Reason.EVICTED,
        "disk pressure",
    ),
    "evicted and out of memory": (
        make.ended_pod(code=137, why="OOMKilled", reason="Evicted"),
        Reason.EVICTED,
        "was evicted",
    ),
    "preempted": (make.gone_pod(disruption="PreemptionByScheduler"), Reason.EVICTED, "PreemptionByScheduler"),
    "the node is lost": (
        make.gone_pod(disruption="DeletionByTaintManager"),
        Reason.NODE_LOST,
        "node node-a of pod",
    ),
    "the node is lost, in older words": (make.gone_pod(reason="NodeLost"), Reason.NODE_LOST, "NodeLost"),
    "evicted from a node that is lost": (
        make.ended_pod(code=137, reason="Evicted", disruption="DeletionByTaintManager"),
        Reason.NODE_LOST,
        "node node-a of pod",
    ),
    "the node does not exist": (make.gone_pod(disruption="DeletionByPodGC"), Reason.NODE_LOST, "PodGC"),
    "rejected": (rejected("OutOfcpu"), Reason.POD_REJECTED, "rejected pod"),
    "rejected for its node": (rejected("NodeAffinity"), Reason.POD_REJECTED, "NodeAffinity"),
    "rejected by a device": (rejected("UnexpectedAdmissionError"), Reason.POD_REJECTED, "Unexpected"),
    "evicted for its own spill": (
        make.ended_pod(
            code=137,
            reason="Evicted",
            message='Usage of EmptyDir volume "spill" exceeds the limit "4160Mi". ',
        ),
        Reason.SPILL_FULL,
        "spilled more than its volume holds",
    ),
    "its node shut down while it ran": (
        make.ended_pod(code=143, reason="NodeShutdown"),
        Reason.WORKER_LOST,
        "signal 15",
    ),
    "active for too long": (
        make.ended_pod(code=137, reason="DeadlineExceeded"),
        Reason.TIMEOUT,
        "activeDeadlineSeconds",
    ),
}


@pytest.mark.parametrize(("pod", "reason", "words"), TOLD_NOTHING.values(), ids=TOLD_NOTHING)
def test_without_an_outcome_the_pod_tells(pod, reason, words):
    """Each fault of the infrastructure has its own reason, and says what was seen of it."""
    found = end(pod)
    assert (found.phase, found.reason) == (Phase.FAILED, reason)
    assert words in found.message
    assert found.error.code == reason
    assert found.error.retryable is found.retried is (reason in RETRIED_REASONS)


@pytest.mark.parametrize("code", FAULTS)
def test_without_an_outcome_the_exit_code_tells(code):
    """The class of the end survives a volume that took nothing more."""
    found = end(make.ended_pod(code=code))
    assert (found.phase, found.reason) == (Phase.FAILED, Reason(code.reason))
    assert found.message == f"the worker ended with exit code {code:d} and left no outcome"
    assert not found.retried


def over_deadline(stop: str = ""):
    return make.ended_pod(code=143, reason="DeadlineExceeded", stop=stop)


DEADLINES = {
    "nobody asked": (over_deadline(), NOTHING, Reason.TIMEOUT, Phase.FAILED),
    "for the timeout": (over_deadline("timeout"), TIMEOUT, Reason.TIMEOUT, Phase.FAILED),
    "for a cancellation": (over_deadline("cancel"), CANCEL, Reason.CANCEL_REQUESTED, Phase.CANCELLED),
    "by a hand that wrote the annotation": (
        over_deadline("cancel"),
        NOTHING,
        Reason.WORKER_LOST,
        Phase.FAILED,
    ),
}


@pytest.mark.parametrize(("pod", "asked", "reason", "phase"), DEADLINES.values(), ids=DEADLINES)
def test_deadline_exceeded_means_what_was_asked_for(pod, asked, reason, phase):
    """Every stop lowers the pod's deadline, so the deadline alone does not name the end."""
    found = end(pod, None, asked)
    assert (found.phase, found.reason) == (phase, reason)


@pytest.mark.parametrize(
    ("pod", "step"),
    [
        (make.ended_pod(code=137), CancelStep.KILLED),
        (make.ended_pod(code=137, why="ContainerStatusUnknown", started_at=None), CancelStep.KILLED),
        (make.gone_pod(), CancelStep.KILLED),
        (make.gone_pod(started_at=None), CancelStep.REQUESTED),
        (make.pod(phase="Failed", reason="Evicted"), CancelStep.REQUESTED),
    ],
)
def test_a_cancelled_worker_without_an_outcome(pod, step):
    """What was asked for has come true; an engine that never ran was not killed."""
    found = end(pod, None, CANCEL)
    assert (found.phase, found.reason, found.cancel_step) == (Phase.CANCELLED, Reason.CANCEL_REQUESTED, step)
    assert found.at == (pod.terminated.finished_at if pod.terminated else None)


# the termination message


def test_the_termination_message_stands_in_for_the_outcome():
    """Where the exports volume took nothing more, the pod carries the same."""
    message = dump(make.outcome(ExitCode.EXPORT_VOLUME_FULL)).decode()
    found = end(make.ended_pod(code=32, told=message))
    assert found.reason is Reason.EXPORT_VOLUME_FULL
    assert found.message == "the worker says ExportVolumeFull"
    both = end(make.ended_pod(code=32, told=message), make.outcome(ExitCode.SQL_ERROR))
    assert both.reason is Reason.SQL_ERROR, "the mailbox comes first"


DAMAGED = {
    "empty": "",
    "a traceback": "Traceback (most recent call last):",
    "cut off": dump(make.outcome()).decode()[:100],
    "another shape": '{"exitCode": "ten"}',
    "a time that is none": dump(make.outcome(finished_at="yesterday")).decode(),
    "a time without a zone": dump(make.outcome(started_at="2026-11-22T12:00:00")).decode(),
    "a time beyond all calendars": dump(make.outcome(finished_at="9999-12-31T23:59:59-12:00")).decode(),
    "another attempt's": dump(make.outcome(attempt=2)).decode(),
    "too deep": '{"a":' * 3000,
}


@pytest.mark.parametrize("message", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_termination_message_is_none(message):
    """Then the exit code tells; nothing that a worker writes stops the operator."""
    found = end(make.ended_pod(code=10, told=message))
    assert (found.reason, found.outcome) == (Reason.SQL_ERROR, None)
    assert "left no outcome" in found.message


def test_a_position_that_is_none_is_left_out():
    """The schema takes line:column and nothing else."""
    error = Error("SqlError", "no such table", "User", "line 3")
    message = dump(make.outcome(error=error)).decode()
    assert end(make.ended_pod(code=10, told=message)).error.position is None
    for position, kept in (("1" * 40 + ":2", None), ("12:34", "12:34")):
        failed: Any = conclusion.failed(Reason.SQL_ERROR, "", position=position)
        assert failed.error.position == kept


# the manifest


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (make.manifest(rows=1), "1 row, late-flights.parquet"),
        (make.manifest(rows=0), "0 rows, late-flights.parquet"),
        (make.preview_only(rows=12), "12 rows"),
    ],
)
def test_published(manifest, message):
    """The end of a task with a manifest: when it was published, and what there is."""
    found = conclusion.published(manifest)
    assert (found.phase, found.reason, found.message) == (Phase.SUCCEEDED, Reason.COMPLETED, message)
    assert (found.at, found.manifest) == (make.ago(2), manifest)
    assert not found.retried


# the sets


def test_every_reason_of_an_exit_code_is_a_reason():
    """The worker's words for its ends are the operator's; only Stopped is nobody's reason."""
    for code in ExitCode:
        assert code.reason in {str(reason) for reason in Reason} or code is ExitCode.STOPPED


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        (Reason.SQL_ERROR, "User"),
        (Reason.OUT_OF_MEMORY, "Resource"),
        (Reason.INTERNAL_ERROR, "Internal"),
        (Reason.EVICTED, "External"),
        (Reason.IMAGE_PULL_FAILED, "External"),
    ],
)
def test_categories(reason, category):
    """Who can mend it; what nobody has sorted is the administrator's."""
    failed: Any = conclusion.failed(reason, "")
    assert failed.error.category == category
    assert not set(conclusion.CATEGORIES) & RETRIED_REASONS, "a fault of the infrastructure is nobody's query"


@pytest.mark.parametrize("text", ["", "None", "FromALaterRelease"])
def test_an_unknown_reason_is_an_internal_error(text):
    """The history may hold what another release has written."""
    assert conclusion.reason(text) is Reason.INTERNAL_ERROR
    assert conclusion.reason("Evicted") is Reason.EVICTED
