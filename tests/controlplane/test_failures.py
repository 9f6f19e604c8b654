"""How a worker's end becomes a task's end: each class of failure with its reason, in status, Event and
history, and which of them are tried again."""

from __future__ import annotations

import dataclasses

import pytest

from querytask_worker.contract import Error, Outcome, dump
from tests.controlplane.kit import podstatus
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site

LONG_AGO = "2026-01-01T00:00:00.000Z"
ONCE: Json = {"retry": {"limit": 0}}


@dataclasses.dataclass(frozen=True)
class Case:
    """A scene, and the end that it must get."""

    scene: str
    reason: str
    category: str
    message: str = "it went wrong"
    retryable: bool = False


OUTCOMES = (
    Case("fail reason=SqlError position=3:14", "SqlError", "User"),
    Case("fail reason=SqlNotAllowed", "SqlNotAllowed", "User"),
    Case("fail reason=ParameterError", "ParameterError", "User"),
    Case("fail reason=Timeout", "Timeout", "Resource"),
    Case("fail reason=OutOfMemory", "OutOfMemory", "Resource"),
    Case("fail reason=SpillFull", "SpillFull", "Resource"),
    Case("fail reason=ExportVolumeFull", "ExportVolumeFull", "Resource"),
    Case("fail reason=SourceUnreachable", "SourceUnreachable", "External"),
    Case("fail reason=InternalError", "InternalError", "Internal"),
)
"""What a worker writes down is believed, and never tried again."""
SILENT = (
    Case("oom", "OutOfMemory", "Resource", "more memory than its limit"),
    Case("exit code=10", "SqlError", "User", "exit code 10"),
    Case("exit code=30", "OutOfMemory", "Resource", "exit code 30"),
    Case("exit code=70", "InternalError", "Internal", "exit code 70"),
    Case("exit code=137", "WorkerLost", "External", "signal 9", retryable=True),
    Case("exit code=0", "WorkerLost", "External", "without having told an outcome", retryable=True),
    Case("torn", "WorkerLost", "External", "without having told an outcome", retryable=True),
    Case("evicted", "Evicted", "External", "low on resource", retryable=True),
    Case("rejected reason=OutOfcpu", "PodRejected", "External", "OutOfcpu", retryable=True),
    Case("rejected reason=NodeAffinity", "PodRejected", "External", "NodeAffinity", retryable=True),
    Case("node_lost", "NodeLost", "External", "DeletionByTaintManager", retryable=True),
    Case("vanish", "WorkerLost", "External", "is gone", retryable=True),
)
"""What is concluded from the pod where the worker has told nothing."""
CASES = OUTCOMES + SILENT


@pytest.fixture(scope="module")
def failed(_shared: Site) -> dict[Case, Json]:
    """A task of each case, all at once, none of which may be tried again."""
    return {
        case: _shared.submit(case.scene, name=f"fail-{number}", **ONCE) for number, case in enumerate(CASES)
    }


def _id(case: Case) -> str:
    return case.scene.replace(" ", "-")


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_each_failure_has_its_reason_everywhere(case: Case, failed: dict[Case, Json], shared: Site) -> None:
    """The same reason stands in the status, its error, the condition, the Event, the task's row and the
    attempt's."""
    task = failed[case]
    name, uid = task["metadata"]["name"], task["metadata"]["uid"]
    status = shared.ends(name, "Failed", case.reason)
    error = status["error"]
    assert (error["code"], error["category"]) == (case.reason, case.category)
    assert error.get("retryable", False) is case.retryable
    assert case.message in error["message"]
    assert case.message in status["message"]
    finished = {item["type"]: item for item in status["conditions"]}
    assert (finished["Finished"]["status"], finished["Finished"]["reason"]) == ("True", case.reason)
    assert (finished["Succeeded"]["status"], finished["Succeeded"]["reason"]) == ("False", case.reason)
    row = shared.row(task, "Failed")
    assert (row["reason"], row["error_code"], row["error_category"]) == (
        case.reason,
        case.reason,
        case.category,
    )
    (attempt,) = shared.history.attempts(uid)
    assert attempt["reason"] == case.reason
    shared.sees(
        lambda: [
            e for e in shared.observer.events_of(uid) if (e["reason"], e["type"]) == (case.reason, "Warning")
        ],
        "there is an Event of the failure",
    )


@pytest.mark.parametrize("case", OUTCOMES, ids=_id)
def test_what_the_worker_has_told_is_never_run_again(case: Case, shared: Site) -> None:
    """A wrong query, and one that is too big, stay so: one attempt, however many are allowed."""
    task = shared.submit(case.scene, name=f"again-{case.reason.lower()}", retry={"limit": 5, "backoff": "1s"})
    status = shared.ends(task["metadata"]["name"], "Failed", case.reason)
    assert status["attempt"] == 1
    assert "BackingOff" not in [step[1] for step in shared.observer.steps(task["metadata"]["uid"])]


def test_the_position_of_an_sql_error_is_told(failed: dict[Case, Json], shared: Site) -> None:
    """Line and column of DuckDB's message reach status and history."""
    task = failed[OUTCOMES[0]]
    status = shared.ends(task["metadata"]["name"], "Failed", "SqlError")
    assert status["error"]["position"] == "3:14"
    assert shared.row(task, "Failed")["error_position"] == "3:14"


def test_the_termination_message_tells_where_the_mailbox_cannot(shared: Site) -> None:
    """When the exports volume took no outcome any more, the copy in the pod's status is believed."""
    task = shared.submit("hang", name="copy", **ONCE)
    shared.reaches("copy", "Running")
    error = Error("ExportVolumeFull", "no room left", "Resource")
    message = dump(Outcome(1, 32, "ExportVolumeFull", LONG_AGO, LONG_AGO, error)).decode()
    _end(shared, task, podstatus.terminated(shared.pod_of(task), 32, None, message=message))
    assert shared.ends("copy", "Failed", "ExportVolumeFull")["message"] == "no room left"


def test_a_lie_of_the_worker_is_an_internal_error(shared: Site) -> None:
    """Succeeded is impossible without a manifest: a worker that says Completed and published none has
    failed."""
    task = shared.submit("hang", name="liar", retry={"limit": 3})
    shared.reaches("liar", "Running")
    outcome = dump(Outcome(1, 0, "Completed", LONG_AGO, LONG_AGO))
    (shared.directory(task) / "1" / "_outcome.json").write_bytes(outcome)
    _end(shared, task, podstatus.terminated(shared.pod_of(task), 0, None))
    assert "no manifest" in shared.ends("liar", "Failed", "InternalError")["message"]


def test_a_published_result_stands_whatever_the_pod_says(shared: Site) -> None:
    """The manifest is the commit point: the worker had published and was killed before it could say so."""
    shared.submit("succeed quiet=yes", name="quiet")
    shared.succeeds("quiet")
    shared.submit("succeed vanish=yes", name="vanished")
    shared.succeeds("vanished")


def test_phase_failed_is_not_the_end_while_the_container_runs(shared: Site) -> None:
    """A pod can be Failed and its container still run, and publish: only a terminated container has ended."""
    task = shared.submit("phase_first after=1.5", name="phase-first")
    shared.sees(
        lambda: any(
            pod["status"].get("phase") == "Failed" for pod in shared.observer.pods_of(task["metadata"]["uid"])
        ),
        "the pod's phase is Failed",
    )
    shared.succeeds("phase-first")
    assert [step[0] for step in shared.observer.steps(task["metadata"]["uid"])] == [
        "Queued",
        "Running",
        "Succeeded",
    ]


def test_no_part_of_a_file_is_left_of_a_failure(shared: Site) -> None:
    """Partial files of a lost worker are removed when the task is told to have failed."""
    task = shared.submit("hang partial=yes", name="partial", **ONCE)
    shared.reaches("partial", "Running")
    partial = shared.directory(task) / "1" / "export.partial"
    shared.sees(partial.exists, "the worker has begun to write")
    shared.delete("pods", shared.pod_of(task)["metadata"]["name"], gracePeriodSeconds=0)
    shared.ends("partial", "Failed", "WorkerLost")
    assert not partial.exists()
    assert (shared.directory(task) / "1" / "_assignment.json").exists()


def _end(site: Site, task: Json, status: Json) -> None:
    name = site.pod_of(task)["metadata"]["name"]
    site.patch("pods", f"{name}/status", {"status": status})
