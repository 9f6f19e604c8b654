"""How an attempt ended, from all that can be known of it: the manifest first, then the outcome in the
mailbox, then the pod.

For ``decide`` and for closing the rows of deleted tasks. The order is a promise: a task whose manifest is
published has succeeded, whatever else is told of it; what the worker wrote down is believed before what the
kubelet says; and a stop is named by the operator alone, from what it had asked for, never from an exception
or a signal.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from querytask import names
from querytask.core import clock
from querytask.core.podstate import PodState
from querytask.names import RETRIED_REASONS, CancelStep, Phase, Reason
from querytask_worker.contract import Error, ExitCode, Manifest, Outcome, load

CATEGORIES = {
    Reason.SQL_ERROR: "User",
    Reason.SQL_NOT_ALLOWED: "User",
    Reason.PARAMETER_ERROR: "User",
    Reason.SOURCE_NOT_FOUND: "User",
    Reason.SOURCE_NOT_READY: "User",
    Reason.NAME_TAKEN: "User",
    Reason.TIMEOUT: "Resource",
    Reason.QUEUE_TIMEOUT: "Resource",
    Reason.OUT_OF_MEMORY: "Resource",
    Reason.SPILL_FULL: "Resource",
    Reason.EXPORT_VOLUME_FULL: "Resource",
    Reason.QUOTA_EXCEEDED: "Resource",
    Reason.UNSCHEDULABLE: "Resource",
    Reason.INTERNAL_ERROR: "Internal",
}
"""Who can mend a failure; every other reason is ``External``: the cluster's administrator."""

OVERRUN = "the task ran longer than its timeout and was stopped by the operator"

_REASON_OF_EXIT: dict[int, Reason] = {
    code: Reason(code.reason) for code in ExitCode if code is not ExitCode.STOPPED
}
_POSITION = re.compile(r"[0-9]{1,15}:[0-9]{1,15}")
_NODE_DISRUPTIONS = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})
_EVICTIONS = frozenset({"EvictionByEvictionAPI", "PreemptionByScheduler", "TerminationByKubelet"})
_REJECTIONS = re.compile(
    r"OutOf\w+|NodeAffinity|NodePorts|UnexpectedAdmissionError|NodeShutdown|PodOSNotSupported|\w*Plugin\w*"
)


@dataclass(frozen=True, slots=True)
class End:
    """The end of an attempt, which is the end of its task unless it is to be retried."""

    phase: Phase
    reason: Reason
    message: str
    at: dt.datetime | None
    """When, as the worker or the kubelet says; ``None`` where nobody knows."""
    error: Error | None = None
    cancel_step: CancelStep | None = None
    outcome: Outcome | None = None
    manifest: Manifest | None = None

    @property
    def retried(self) -> bool:
        """A fault of the infrastructure, which another attempt may mend."""
        return self.phase is Phase.FAILED and self.reason in RETRIED_REASONS


@dataclass(frozen=True, slots=True)
class Asked:
    """What had been asked of the attempt: the only ground on which a stop is named."""

    cancel: bool
    timeout: bool


def published(manifest: Manifest) -> End:
    """The end of a task whose manifest is there."""
    rows = f"{manifest.rows} row" + ("" if manifest.rows == 1 else "s")
    file = f", {manifest.files[0].name}" if manifest.files else ""
    return End(
        Phase.SUCCEEDED, Reason.COMPLETED, rows + file, clock.parse(manifest.published_at), manifest=manifest
    )


def failed(
    reason: Reason, message: str, at: dt.datetime | None = None, *, position: str | None = None
) -> End:
    """A failure for ``reason``, with the error that the object shows."""
    category = CATEGORIES.get(reason, "External")
    if position is not None and not _POSITION.fullmatch(position):
        position = None
    error = Error(reason.value, message, category, position, retryable=reason in RETRIED_REASONS)
    return End(Phase.FAILED, reason, message, at, error=error)


def cancelled(step: CancelStep, at: dt.datetime | None, reason: Reason = Reason.CANCEL_REQUESTED) -> End:
    """A cancellation that has come true."""
    told = {
        CancelStep.REQUESTED: "cancelled before its container had started",
        CancelStep.INTERRUPTED: "cancelled; the statement was interrupted and the worker has ended",
        CancelStep.KILLED: "cancelled; the engine was killed and the worker has ended",
    }
    return End(Phase.CANCELLED, reason, told[step], at, cancel_step=step)


def of_attempt(outcome: Outcome | None, pod: PodState, asked: Asked) -> End:
    """The end of an attempt that published nothing and whose pod has ended (``pod.ended``)."""
    outcome = outcome or told_by(pod)
    if outcome is not None:
        return _of_outcome(outcome, pod, asked)
    at = pod.terminated.finished_at if pod.terminated else None
    if asked.cancel:
        ran = pod.started or pod.terminated is not None
        return cancelled(CancelStep.KILLED if ran else CancelStep.REQUESTED, at)
    return _of_pod(pod, at, asked)


def told_by(pod: PodState) -> Outcome | None:
    """The outcome in the termination message: the copy for when the exports volume took no more."""
    if pod.terminated is None or not pod.terminated.message.startswith("{"):
        return None
    try:
        found = load(Outcome, pod.terminated.message)
        clock.parse(found.started_at)
        clock.parse(found.finished_at)
    except (ValueError, RecursionError):
        return None
    return found if found.attempt == pod.attempt else None


def _of_outcome(outcome: Outcome, pod: PodState, asked: Asked) -> End:
    at = clock.parse(outcome.finished_at)
    if outcome.exit_code == ExitCode.STOPPED:
        end = _of_stop(outcome, pod, at, asked)
    elif outcome.exit_code == ExitCode.COMPLETED:
        end = failed(Reason.INTERNAL_ERROR, "the worker reported Completed, but no manifest is published", at)
    else:
        reason = _REASON_OF_EXIT.get(outcome.exit_code, Reason.INTERNAL_ERROR)
        message = (
            outcome.error.message if outcome.error else f"the worker ended with exit code {outcome.exit_code}"
        )
        end = failed(reason, message, at, position=outcome.error.position if outcome.error else None)
    return End(end.phase, end.reason, end.message, end.at, end.error, end.cancel_step, outcome)


def _of_stop(outcome: Outcome, pod: PodState, at: dt.datetime, asked: Asked) -> End:
    killed = outcome.stop is not None and outcome.stop.step == CancelStep.KILLED
    step = CancelStep.KILLED if killed else CancelStep.INTERRUPTED
    if asked.cancel:
        return cancelled(step, at)
    return _of_pod(pod, at, asked, stopped=True)


def _of_pod(pod: PodState, at: dt.datetime | None, asked: Asked, *, stopped: bool = False) -> End:
    if asked.timeout or pod.stop == "timeout":
        return failed(Reason.TIMEOUT, OVERRUN, at)
    for policy in (_lost_node, _spilled, _evicted, _deadline, _rejected, _out_of_memory, _exit_code):
        if (found := policy(pod)) is not None:
            return failed(*found, at)
    if stopped:
        return failed(Reason.WORKER_LOST, f"pod {pod.name} was stopped, and not by the operator", at)
    how = f"was ended by signal {_signal(pod)}" if _signal(pod) else "is gone" if pod.gone else "ended"
    return failed(Reason.WORKER_LOST, f"pod {pod.name} {how} without having told an outcome", at)


Found = tuple[Reason, str] | None


def _lost_node(pod: PodState) -> Found:
    if pod.disruption in _NODE_DISRUPTIONS or pod.reason == "NodeLost":
        return (
            Reason.NODE_LOST,
            f"node {pod.node or 'unknown'} of pod {pod.name} is lost: {pod.disruption or pod.reason}",
        )
    return None


def _spilled(pod: PodState) -> Found:
    """The kubelet evicts for a full emptyDir, too; that is the query's own doing, and would happen again."""
    if pod.reason == "Evicted" and f'EmptyDir volume "{names.SPILL_VOLUME}"' in pod.message:
        return Reason.SPILL_FULL, f"the query spilled more than its volume holds: {pod.message}"
    return None


def _evicted(pod: PodState) -> Found:
    if pod.reason == "Evicted" or pod.disruption in _EVICTIONS:
        return Reason.EVICTED, f"pod {pod.name} was evicted: {pod.message or pod.disruption}"
    return None


def _deadline(pod: PodState) -> Found:
    if pod.reason == "DeadlineExceeded" and not pod.stop:
        if not pod.started and pod.terminated is None:
            return Reason.START_TIMEOUT, f"pod {pod.name} did not start within its activeDeadlineSeconds"
        return Reason.TIMEOUT, f"pod {pod.name} was active longer than its activeDeadlineSeconds"
    return None


def _rejected(pod: PodState) -> Found:
    if pod.reason and not pod.started and _REJECTIONS.fullmatch(pod.reason):
        return Reason.POD_REJECTED, f"the kubelet rejected pod {pod.name}: {pod.reason}: {pod.message}"
    return None


def _out_of_memory(pod: PodState) -> Found:
    if pod.terminated and pod.terminated.reason == "OOMKilled":
        return Reason.OUT_OF_MEMORY, "the worker was killed: it used more memory than its limit"
    return None


def _exit_code(pod: PodState) -> Found:
    if (
        pod.terminated is None
        or pod.terminated.exit_code not in _REASON_OF_EXIT
        or pod.terminated.exit_code == 0
    ):
        return None
    code = pod.terminated.exit_code
    return _REASON_OF_EXIT[code], f"the worker ended with exit code {code} and left no outcome"


def _signal(pod: PodState) -> int:
    if pod.terminated is None:
        return 0
    return pod.terminated.signal or (
        pod.terminated.exit_code - 128 if 128 < pod.terminated.exit_code < 160 else 0
    )


def reason(text: str) -> Reason:
    """The reason of that name; InternalError for one that only another release knows."""
    try:
        return Reason(text)
    except ValueError:
        return Reason.INTERNAL_ERROR
