"""Values for tests, each valid and unremarkable until a keyword says otherwise.

One function for each kind of value that ``decide`` looks at; a test names only what it is about. All times
hang on ``NOW``, which never moves.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from querytask import names
from querytask.api import parse
from querytask.api.source import QuerySource
from querytask.api.task import QueryTask
from querytask.api.task_status import TaskStatus
from querytask.core.observed import Mailbox, Memory, Observed, Refusal, SourceState
from querytask.core.podstate import PodState, Terminated
from querytask.names import Phase, Reason
from querytask.settings import Settings
from querytask_worker import contract

NOW = dt.datetime(2026, 11, 22, 12, 0, 0, tzinfo=dt.UTC)
UID = "6f0c3a52-8f43-4b8e-9d0a-1f6f5a9f1c11"
NAMESPACE = "analytics"
NAME = "late-flights"
SQL = "SELECT 42 AS answer"
SHA256 = "ab" * 32


def ago(seconds: float) -> dt.datetime:
    """``seconds`` before ``NOW``."""
    return NOW - dt.timedelta(seconds=seconds)


def later(seconds: float) -> dt.datetime:
    """``seconds`` after ``NOW``."""
    return NOW + dt.timedelta(seconds=seconds)


def text(moment: dt.datetime) -> str:
    """``moment`` as the worker and the API server write it."""
    return contract.timestamp(moment)


def settings(**changes: Any) -> Settings:
    """The operator's settings: the defaults, but for what has none."""
    given: dict[str, Any] = {
        "namespace": NAMESPACE,
        "worker_image": "registry.example/querytask-worker:1",
        "exports_claim": "exports",
    }
    return Settings(**given | changes)


def raw_task(
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    created: dt.datetime | None = None,
) -> dict[str, Any]:
    """A QueryTask as the API server sends it; ``spec``, ``status`` and ``metadata`` are merged in."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": UID,
            "generation": 1,
            "resourceVersion": "100",
            "creationTimestamp": text(created or ago(60)),
        }
        | (metadata or {}),
        "spec": {"sql": SQL} | (spec or {}),
        "status": status or {},
    }


def task(
    *,
    status: TaskStatus | None = None,
    metadata: dict[str, Any] | None = None,
    created: dt.datetime | None = None,
    **spec: Any,
) -> QueryTask:
    """A QueryTask; keywords are fields of its spec, in camelCase as the API has them."""
    found = parse.task(raw_task(spec=spec, metadata=metadata, created=created))
    return found if status is None else with_status(found, status)


def with_status(which: QueryTask, status: TaskStatus) -> QueryTask:
    """The same task as it is once ``status`` was written."""
    return which.model_copy(update={"status": status})


def shown(phase: Phase, reason: Reason | None = None, **fields: Any) -> TaskStatus:
    """A status as the operator would have written it some time ago."""
    usual = {
        Phase.QUEUED: Reason.WAITING_FOR_SLOT,
        Phase.RUNNING: Reason.STARTED,
        Phase.SUCCEEDED: Reason.COMPLETED,
        Phase.FAILED: Reason.SQL_ERROR,
        Phase.CANCELLING: Reason.CANCEL_REQUESTED,
        Phase.CANCELLED: Reason.CANCEL_REQUESTED,
    }
    return TaskStatus(phase=phase, reason=reason or usual[phase], queued_at=ago(60), **fields)


def pod(attempt: int = 1, **fields: Any) -> PodState:
    """A pod that was created ten seconds ago and waits for a node."""
    usual: dict[str, Any] = {
        "name": names.pod_name(UID, attempt),
        "uid": f"pod-{attempt}",
        "owner_uid": UID,
        "attempt": attempt,
        "created_at": ago(10),
    }
    return PodState(**usual | fields)


def pending_pod(attempt: int = 1, **fields: Any) -> PodState:
    """A pod on a node, whose container has not started."""
    return pod(attempt, **{"node": "node-a", "waiting_reason": "ContainerCreating"} | fields)


def running_pod(attempt: int = 1, **fields: Any) -> PodState:
    """A pod whose container has been running for five seconds."""
    usual = {"phase": "Running", "node": "node-a", "running": True, "started_at": ago(5)}
    return pod(attempt, **usual | fields)


def ended_pod(attempt: int = 1, *, code: int = 0, told: str = "", why: str = "", **fields: Any) -> PodState:
    """A pod whose container has ended two seconds ago with ``code`` and a termination message."""
    ended = Terminated(code, why or ("Completed" if code == 0 else "Error"), told, ago(2))
    phase = "Succeeded" if code == 0 else "Failed"
    usual = {"phase": phase, "node": "node-a", "started_at": ago(5), "terminated": ended}
    return pod(attempt, **usual | fields)


def gone_pod(attempt: int = 1, **fields: Any) -> PodState:
    """A pod that was last seen running, and was deleted."""
    return running_pod(attempt, **{"gone": True} | fields)


def statistics(**fields: Any) -> contract.Statistics:
    """What an attempt took."""
    usual: dict[str, Any] = {
        "start_seconds": 0.3,
        "engine_seconds": 1.25,
        "export_seconds": 0.5,
        "peak_memory_bytes": 1000,
        "spill_bytes": 0,
    }
    return contract.Statistics(**usual | fields)


def manifest(**fields: Any) -> contract.Manifest:
    """The manifest of a task that has exported one Parquet file of one row."""
    usual: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": NAME,
        "uid": UID,
        "attempt": 1,
        "started_at": text(ago(4)),
        "published_at": text(ago(2)),
        "expires_at": text(later(7 * 86_400)),
        "sql_sha256": SHA256,
        "duckdb_version": "1.5.5",
        "rows": 1,
        "columns": (contract.Column("answer", "INTEGER"),),
        "preview": contract.Preview(("[42]",)),
        "format": "Parquet",
        "compression": "Zstd",
        "files": (contract.File("late-flights.parquet", 321, 1, SHA256),),
        "statistics": statistics(),
    }
    return contract.Manifest(**usual | fields)


def preview_only(**fields: Any) -> contract.Manifest:
    """The manifest of a task that exports nothing."""
    return manifest(**{"format": None, "compression": None, "files": ()} | fields)


def outcome(
    code: contract.ExitCode = contract.ExitCode.SQL_ERROR, *, step: str | None = None, **fields: Any
) -> contract.Outcome:
    """How an attempt ended, as its worker wrote it; ``step`` is that of a stop."""
    error = stop = None
    if step is not None:
        stop = contract.Stop(step, text(ago(3)), text(ago(2)))
    elif code not in (contract.ExitCode.COMPLETED, contract.ExitCode.STOPPED):
        error = contract.Error(code.reason, f"the worker says {code.reason}", "User", "1:8")
    usual: dict[str, Any] = {
        "attempt": 1,
        "exit_code": int(code),
        "reason": code.reason,
        "started_at": text(ago(4)),
        "finished_at": text(ago(2)),
        "error": error,
        "stop": stop,
        "statistics": statistics(),
    }
    return contract.Outcome(**usual | fields)


def progress(percent: int | None = 40, **fields: Any) -> contract.Progress:
    """How far an attempt has come."""
    usual: dict[str, Any] = {"attempt": 1, "step": "Running", "percent": percent, "updated_at": text(ago(1))}
    return contract.Progress(**usual | fields)


def memory(attempt: int = 1, **fields: Any) -> Memory:
    """What the history holds of a task whose attempt was granted ten seconds ago."""
    usual: dict[str, Any] = {
        "phase": Phase.QUEUED.value,
        "reason": Reason.POD_PENDING.value,
        "message": "",
        "queued_at": ago(60),
        "attempt": attempt,
        "first_granted_at": ago(10) if attempt else None,
        "granted_at": ago(10) if attempt else None,
    }
    return Memory(**usual | fields)


def mailbox(**fields: Any) -> Mailbox:
    """What the task's directory holds: nothing."""
    return Mailbox(**fields)


def observed(which: QueryTask | None = None, *pods: PodState, **fields: Any) -> Observed:
    """A task, seen whole; ``manifest``, ``outcome`` and ``progress`` may be given without their mailbox."""
    letters = {name: fields.pop(name) for name in ("manifest", "outcome", "progress") if name in fields}
    if letters:
        fields["mailbox"] = Mailbox(**letters)
    return Observed(task=which or task(), pods=pods, **fields)


def refusal(reason: Reason = Reason.QUOTA_EXCEEDED, *, at: dt.datetime = NOW) -> Refusal:
    """The API server would not take the pod."""
    return Refusal(reason, f"refused: {reason}", at)


def missing(name: str = "flights", problem: Reason = Reason.SOURCE_NOT_FOUND) -> SourceState:
    """A source that cannot be used."""
    return SourceState(name, problem, f'QuerySource "{name}" cannot be used')


def source(name: str = "flights", **volume: Any) -> QuerySource:
    """A QuerySource on a claim; keywords are fields of ``spec.volume``."""
    return parse.source(raw_source(name, **volume))


def raw_source(name: str = "flights", **volume: Any) -> dict[str, Any]:
    """A QuerySource as the API server sends it."""
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"source-{name}",
            "generation": 3,
            "resourceVersion": "50",
            "creationTimestamp": text(ago(3600)),
        },
        "spec": {"volume": {"claimName": "lake"} | volume},
    }


def raw_pod(
    attempt: int = 1,
    *,
    container: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    node: str = "",
) -> dict[str, Any]:
    """A worker's pod as the API server sends it; ``container`` is the ``state`` of its container."""
    base: dict[str, Any] = {"phase": "Pending"}
    if container is not None:
        base["containerStatuses"] = [{"name": names.WORKER_CONTAINER, "state": container}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.pod_name(UID, attempt),
            "namespace": NAMESPACE,
            "uid": f"pod-{attempt}",
            "resourceVersion": "200",
            "creationTimestamp": "2026-11-22T11:59:50Z",
            "labels": {
                names.APP_LABEL: names.WORKER_APP,
                names.TASK_UID_LABEL: UID,
                names.ATTEMPT_LABEL: str(attempt),
            },
            "annotations": {names.TASK_NAME_ANNOTATION: NAME},
            "ownerReferences": [{"kind": names.TASK_KIND, "name": NAME, "uid": UID, "controller": True}],
        }
        | (metadata or {}),
        "spec": {"nodeName": node} if node else {},
        "status": base | (status or {}),
    }
