"""The parts of a status: times, figures, results, cancellations and ends, and the size of the whole."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from querytask.api import bounds
from querytask.api.metadata import condition
from querytask.api.task_status import STATUS_BYTES, TaskStatus
from querytask.core import conclusion, status
from querytask.names import CancelStep, ExportState, Phase, Reason
from querytask_worker import contract
from tests import builders as make
from tests.unit.core.deciding import at, requested

NOW = make.NOW
FAILED = conclusion.failed(Reason.SQL_ERROR, "no such table", make.ago(2), position="1:8")
EXPORTING: dict[str, Any] = {"export": {"format": "Parquet"}}


def conditions(found: TaskStatus) -> dict[str, tuple[str, str]]:
    return {item.type: (item.status, item.reason) for item in found.conditions}


def of(found: TaskStatus, kind: str) -> Any:
    return condition(found.conditions, kind)


def published(**fields) -> Any:
    """A task that exports, and has published."""
    manifest = make.manifest(**fields)
    o = make.observed(
        at(Phase.RUNNING, attempt=1, started_at=make.ago(5), spec=EXPORTING),
        make.ended_pod(),
        memory=make.memory(),
        manifest=manifest,
    )
    return status.finished(o, NOW, conclusion.published(manifest))


# times and figures


def test_a_success_in_full():
    """Every part of the status of a task that has exported a file."""
    found = published().document()
    found.pop("conditions")
    assert found == {
        "phase": "Succeeded",
        "reason": "Completed",
        "message": "1 row, late-flights.parquet",
        "observedGeneration": 1,
        "attempt": 1,
        "podName": f"qt-{make.UID}-1",
        "queuedAt": "2026-11-22T11:59:00.000Z",
        "startedAt": "2026-11-22T11:59:55.000Z",
        "completedAt": "2026-11-22T11:59:58.000Z",
        "executionSeconds": "2",
        "duration": "2s",
        "progress": 100,
        "result": {
            "rows": 1,
            "columns": [{"name": "answer", "type": "INTEGER"}],
            "preview": ["[42]"],
            "truncated": False,
        },
        "export": {
            "state": "Available",
            "path": f"analytics/{make.UID}/1/late-flights.parquet",
            "format": "Parquet",
            "compression": "Zstd",
            "bytes": 321,
            "rows": 1,
            "sha256": make.SHA256,
            "files": 1,
            "expiresAt": "2026-11-29T12:00:00.000Z",
        },
        "statistics": {
            "queueSeconds": "50",
            "startSeconds": "6.3",
            "engineSeconds": "1.25",
            "exportSeconds": "0.5",
            "peakMemoryBytes": 1000,
            "spillBytes": 0,
        },
    }


def test_a_failure_in_full():
    """The error stands by itself, for scripts; nothing of a result is there."""
    o = make.observed(
        at(Phase.RUNNING, attempt=1, started_at=make.ago(5)), make.ended_pod(code=10), memory=make.memory()
    )
    found = status.finished(o, NOW, FAILED).document()
    assert found["error"] == {
        "category": "User",
        "code": "SqlError",
        "message": "no such table",
        "position": "1:8",
        "retryable": False,
    }
    assert found["export"] == {"state": "NotApplicable"}
    assert "result" not in found
    assert "progress" not in found
    assert (found["executionSeconds"], found["duration"]) == ("3", "3s")


def test_a_preview_only_task_exports_nothing_and_expires_all_the_same():
    """Its manifest has an expiry, too."""
    manifest = make.preview_only()
    o = make.observed(at(Phase.RUNNING, attempt=1), manifest=manifest, memory=make.memory())
    found: Any = status.finished(o, NOW, conclusion.published(manifest))
    assert found.export.document() == {"state": "NotApplicable", "expiresAt": "2026-11-29T12:00:00.000Z"}


def test_several_files():
    """Bytes and rows are of all of them together."""
    files = tuple(contract.File(f"part-{number}", 100 + number, 5, make.SHA256) for number in range(3))
    found = published(files=files, rows=15)
    assert (found.export.bytes, found.export.files, found.export.rows) == (303, 3, 15)


def test_a_worker_is_more_precise_than_the_kubelet():
    """The kubelet tells whole seconds: the run is measured by the worker's own clock."""
    found = published(started_at="2026-11-22T11:59:55.250Z", published_at="2026-11-22T11:59:57.750Z")
    assert (found.started_at, found.execution_seconds) == (make.ago(5), 2.5)


def test_a_start_that_nobody_has_seen_is_told_by_the_worker():
    """A task that ran while the operator was away has its times all the same."""
    manifest = make.manifest()
    o = make.observed(
        at(Phase.QUEUED, Reason.POD_PENDING, attempt=1), memory=make.memory(), manifest=manifest
    )
    found = status.finished(o, NOW, conclusion.published(manifest))
    assert found.started_at == make.ago(4)
    outcome = make.outcome()
    end = conclusion.of_attempt(outcome, make.gone_pod(started_at=None), conclusion.Asked(False, False))
    failed = status.finished(dataclasses.replace(o, mailbox=make.mailbox(outcome=outcome)), NOW, end)
    assert (failed.started_at, failed.completed_at) == (make.ago(4), make.ago(2))


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        ("2026-11-22T11:59:57.500Z", make.ago(2.5)),
        ("2031-01-01T00:00:00Z", NOW),
        ("9999-12-31T23:59:59Z", NOW),
        ("0001-01-01T00:00:00Z", make.ago(60)),
    ],
)
def test_a_workers_clock_is_believed_within_the_life_of_its_task(told, believed):
    """No end lies before the creation or in the future: clocks of the task's life hang on it."""
    assert published(published_at=told).completed_at == believed
    o = make.observed(at(Phase.RUNNING, attempt=1), memory=make.memory())
    end = conclusion.of_attempt(
        make.outcome(finished_at=told), make.gone_pod(), conclusion.Asked(False, False)
    )
    assert status.finished(o, NOW, end).completed_at == believed


def test_an_expiry_before_the_creation_is_none():
    """The year 1 is no time that the API server takes."""
    assert published(expires_at="0001-01-01T00:00:00Z").export.expires_at == make.ago(60)


@pytest.mark.parametrize(
    "figures",
    [
        {"peak_memory_bytes": 2**62, "spill_bytes": 2**62},
        {"engine_seconds": 1e300, "export_seconds": float("inf"), "start_seconds": 1e300},
        {"engine_seconds": float("nan"), "peak_memory_bytes": -5},
    ],
)
def test_figures_of_a_worker_are_cut_to_the_schema(figures):
    """Whatever a worker counts or calls its file, the status can be written."""
    files = (contract.File("\ud800" * 85, 2**62, 2**62, make.SHA256),)
    found = published(rows=2**62, files=files, statistics=make.statistics(**figures))
    assert TaskStatus.model_validate(found.document()).document() == found.document()
    assert all(len(text) <= 16 for text in found.statistics.document().values() if isinstance(text, str))


def test_the_slot_was_granted_to_the_first_attempt_once():
    """The time in the queue ends with the first slot, not with a later attempt's."""
    manifest = make.manifest(attempt=2)
    o = make.observed(
        at(Phase.RUNNING, attempt=2, started_at=make.ago(5)),
        memory=make.memory(2, first_granted_at=make.ago(40), granted_at=make.ago(7)),
        manifest=manifest,
    )
    found = status.finished(o, NOW, conclusion.published(manifest)).document()["statistics"]
    assert (found["queueSeconds"], found["startSeconds"]) == ("20", "3.3")


# cancelling


def test_a_cancellation_tells_when_why_and_how_far():
    """The first request counts; the reason is the canceller's, and is cut to what the schema takes."""
    which = at(Phase.RUNNING, attempt=1, cancel=requested(9))
    which = which.model_copy(
        update={
            "metadata": which.metadata.model_copy(
                update={"annotations": {"querytask.dev/cancel-reason": "too slow " * 100}}
            )
        }
    )
    o = make.observed(which, make.running_pod(), memory=make.memory())
    found: Any = status.cancelling(o, NOW)
    assert (found.phase, found.cancel.step) == (Phase.CANCELLING, CancelStep.REQUESTED)
    assert found.cancel.requested_at == make.ago(9)
    assert found.cancel.reason.startswith("too slow")
    assert len(found.cancel.reason.encode()) <= bounds.CANCEL_REASON
    assert found.message.startswith("the worker is being stopped: too slow")
    end: Any = status.finished(o, NOW, conclusion.cancelled(CancelStep.INTERRUPTED, make.ago(1)))
    assert (end.cancel.step, end.cancel.finished_at) == (CancelStep.INTERRUPTED, make.ago(1))


def test_a_cancellation_never_ends_before_it_was_asked_for():
    """A worker's clock may lag."""
    o = make.observed(at(Phase.CANCELLING, attempt=1, cancel=requested(3)), memory=make.memory())
    end: Any = status.finished(o, NOW, conclusion.cancelled(CancelStep.KILLED, make.ago(20)))
    assert end.cancel.finished_at == make.ago(3)


def test_a_cancellation_that_came_too_late_stays_on_record():
    """The task succeeded; that it was to be cancelled is still said."""
    manifest = make.manifest()
    o = make.observed(at(Phase.CANCELLING, attempt=1, cancel=requested(3)), manifest=manifest)
    found: Any = status.finished(o, NOW, conclusion.published(manifest))
    assert found.cancel == requested(3)


# size


NASTY = [
    "x" * 5000,
    "é" * 3000,
    '"\\' * 2000,
    "\x00\x1b[31m" * 800,
    "\ud800" * 2000,
    "\n" * 3000,
    "🦆" * 2000,
]


@pytest.mark.parametrize(
    "text", NASTY, ids=["long", "wide", "quotes", "controls", "surrogates", "lines", "ducks"]
)
def test_every_status_fits(text):
    """Messages, column names and rows of any size and kind end in a status within 8 KiB that the schema
    takes."""
    columns = tuple(contract.Column(text, text) for _ in range(500))
    preview = contract.Preview(tuple(text for _ in range(20)))
    succeeded = published(columns=columns, preview=preview)
    named = {"sources": ["flights"], **EXPORTING}
    o = make.observed(
        at(Phase.RUNNING, attempt=1, cancel=requested(5), spec=named),
        make.ended_pod(code=10),
        memory=make.memory(),
        sources=(make.missing(),),
    )
    failed = status.unrecorded(
        o, status.finished(o, NOW, conclusion.failed(Reason.SQL_ERROR, text)), NOW, text
    )
    waiting = status.queued(o, NOW, Reason.POD_PENDING, text, attempt=1)
    for found in (succeeded, failed, waiting):
        assert bounds.size(found) <= STATUS_BYTES
        document = found.document()
        assert TaskStatus.model_validate(document).document() == document


# what the history remembers


def test_a_remembered_success_whose_manifest_is_gone():
    """Its export has expired, where it had one."""
    done = make.memory(phase="Succeeded", reason="Completed", message="16 rows", completed_at=make.ago(9))
    found: Any = status.remembered(make.observed(at(Phase.RUNNING, spec=EXPORTING), memory=done), NOW)
    assert (found.phase, found.message, found.completed_at) == (Phase.SUCCEEDED, "16 rows", make.ago(9))
    assert found.export.state is ExportState.EXPIRED
    preview: Any = status.remembered(make.observed(at(Phase.RUNNING), memory=done), NOW)
    assert preview.export.state is ExportState.NOT_APPLICABLE


def test_a_remembered_failure_has_its_category():
    """As it would have had without the crash."""
    done = make.memory(phase="Failed", reason="SqlError", message="no such table", completed_at=make.ago(9))
    found: Any = status.remembered(make.observed(at(Phase.RUNNING), memory=done), NOW)
    assert (found.error.category, found.error.code) == ("User", Reason.SQL_ERROR)
