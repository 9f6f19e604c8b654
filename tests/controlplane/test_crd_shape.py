"""What users see of the kinds: defaults, lists, selectors, `kubectl explain` and `kubectl get`."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Callable

import pytest

from cluster.harness import ControlPlane
from querytask.api import bounds, docs, parse
from querytask.api.metadata import Condition
from querytask.api.task_spec import Compression, Format
from querytask.api.task_status import (
    CancelStatus,
    ErrorCategory,
    ExportStatus,
    Statistics,
    TaskError,
    TaskStatus,
)
from querytask.names import CancelStep, ExportState, Phase, Reason
from tests.controlplane.objects import Objects, refused, source, task

NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 123_000, tzinfo=dt.UTC)
Kubectl = Callable[..., str]


@pytest.fixture
def objects(control_plane: ControlPlane, namespace: str) -> Objects:
    """The API server, seen from the test's own namespace."""
    return Objects(control_plane, namespace)


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Run kubectl in the test's namespace; the answer is what it prints."""

    def run(*arguments: str, stdin: str | None = None) -> str:
        command = [*control_plane.kubectl, "--namespace", namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    return run


FULL_STATUS = TaskStatus(
    phase=Phase.SUCCEEDED,
    reason=Reason.COMPLETED,
    message="The query has returned 16 rows.",
    conditions=(
        Condition(
            type="Finished",
            status="True",
            reason="Completed",
            last_transition_time=NOW,
            observed_generation=1,
        ),
    ),
    observed_generation=1,
    attempt=1,
    pod_name="qt-" + "u" * 36 + "-1",
    queued_at=NOW,
    started_at=NOW,
    completed_at=NOW,
    execution_seconds=252.3456,
    duration="4m12s",
    progress=100,
    result=bounds.result(16, [("n", "HUGEINT")], ["[18446744073709551615]"], truncated=True),
    export=ExportStatus(
        state=ExportState.AVAILABLE,
        path="analytics/u/1/late.parquet",
        format=Format.PARQUET,
        compression=Compression.ZSTD,
        bytes=2**53 - 1,
        rows=16,
        sha256="0" * 64,
        files=1,
        expires_at=NOW,
    ),
    cancel=CancelStatus(requested_at=NOW, reason="too slow", step=CancelStep.INTERRUPTED, finished_at=NOW),
    error=TaskError(
        category=ErrorCategory.USER,
        code=Reason.SQL_ERROR,
        message="no such column",
        position="1:8",
        retryable=False,
    ),
    statistics=Statistics(
        queue_seconds=0.1,
        start_seconds=1,
        engine_seconds=2,
        export_seconds=3,
        peak_memory_bytes=4,
        spill_bytes=5,
    ),
)


def test_defaults_are_written_out(objects: Objects) -> None:
    """A task that says only its SQL shows, once stored, what it will run with; and the model alone would
    say the same."""
    stored = objects.create(task("least"))
    assert stored["spec"] == {
        "sql": "SELECT 1",
        "preview": {"rows": 20},
        "resources": {"cpu": "1", "memory": "1Gi", "spill": "4Gi"},
        "queueTimeout": "24h",
        "timeout": "30m",
        "priority": 0,
        "retry": {"limit": 2, "backoff": "10s"},
        "cancel": False,
    }
    assert parse.task(stored).spec == parse.task(task("least")).spec


def test_a_part_of_an_object_is_completed(objects: Objects) -> None:
    """Naming one field of `resources` leaves the others at their defaults."""
    stored = objects.create(task(resources={"memory": "2Gi"}, retry={"limit": 0}, export={}))["spec"]
    assert stored["resources"] == {"cpu": "1", "memory": "2Gi", "spill": "4Gi"}
    assert (stored["retry"], stored["export"]) == ({"limit": 0, "backoff": "10s"}, {"format": "Parquet"})


def test_a_whole_status_is_stored_as_written(objects: Objects) -> None:
    """Each field of the status model is a field of the CRD: nothing is pruned, no digit changes."""
    written = FULL_STATUS.document()
    assert set(written) == {field.alias for field in TaskStatus.model_fields.values()}
    stored = objects.with_status(objects.create(task()), **written)
    assert stored["status"] == written
    assert parse.task(stored).status == TaskStatus.model_validate(written)


def test_the_greatest_status_is_taken(objects: Objects) -> None:
    """What `bounds` makes of the worst that a query can produce is never refused for its size."""
    status = bounds.fit(
        FULL_STATUS.model_copy(
            update={
                "message": bounds.text("ü" * 5_000, bounds.MESSAGE),
                "result": bounds.result(
                    1, [("ü" * 500, "ü" * 500)] * 500, [json.dumps(["🦆" * 300])] * 9, truncated=False
                ),
            }
        )
    )
    assert objects.with_status(objects.create(task()), **status.document())["status"] == status.document()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"phase": "Paused"}, 'status.phase: Unsupported value: "Paused"'),
        ({"reason": "Because"}, 'status.reason: Unsupported value: "Because"'),
        ({"progress": 101}, "progress in body should be less than or equal to 100"),
        ({"export": {"state": "Gone"}}, 'status.export.state: Unsupported value: "Gone"'),
        ({"executionSeconds": "1e3"}, "executionSeconds in body should match"),
        ({"executionSeconds": 1.5}, "executionSeconds in body must be of type string"),
        ({"startedAt": "yesterday"}, "startedAt in body must be of type date-time"),
        ({"podName": "p" * 254}, "status.podName: Too long"),
    ],
)
def test_a_wrong_status_is_refused(objects: Objects, status: dict[str, object], sentence: str) -> None:
    """The operator is held to the schema, too."""
    assert sentence in refused(objects.with_status, objects.create(task()), **status)


def test_the_longest_name(objects: Objects) -> None:
    """Kubernetes allows 253 characters, and so do we."""
    assert objects.create(task("n" * 253))["metadata"]["name"] == "n" * 253


def test_unknown_fields_are_refused_by_kubectl(kubectl: Kubectl) -> None:
    """A field that is spelled wrong is told, not dropped."""
    body = task("typo", timeOut="1m")
    assert 'unknown field "spec.timeOut"' in kubectl("apply", "-f", "-", stdin=json.dumps(body))


@pytest.mark.parametrize(
    "path", ["qt", "qt.spec", "qt.spec.export", "qt.spec.resources.memory", "qt.status", "qs.spec.volume"]
)
def test_explain(kubectl: Kubectl, path: str) -> None:
    """`kubectl explain` has a sentence for the thing and for each of its fields."""
    text = kubectl("explain", path)
    assert "DESCRIPTION:" in text
    assert "<no description>" not in text.replace("metadata\t<ObjectMeta>", "")


def test_explain_export(kubectl: Kubectl) -> None:
    """With the values that a field takes, and its default."""
    text = " ".join(kubectl("explain", "qt.spec.export").split())
    assert "The file to write. Absent means that only the preview rows are kept." in text
    assert "enum: Parquet, CSV, JSON Parquet, CSV (with a header line) or JSON (one object a line)." in text
    assert "How long the file is kept from its publication, such as 30m, 12h, 7d or plain seconds." in text


def test_get(objects: Objects, kubectl: Kubectl) -> None:
    """`kubectl get qt` tells the story in one line."""
    objects.with_status(objects.create(task("late-flights")), **FULL_STATUS.document())
    header, line = kubectl("get", "qt").splitlines()
    assert header.split() == ["NAME", "PHASE", "PROGRESS", "ROWS", "EXPORT", "DURATION", "AGE"]
    assert line.split()[:-1] == ["late-flights", "Succeeded", "100", "16", "Available", "4m12s"]
    header, line = kubectl("get", "qt", "-o", "wide").splitlines()
    assert header.split()[6:9] == ["ATTEMPT", "REASON", "POD"]
    assert line.split()[6:9] == ["1", "Completed", FULL_STATUS.pod_name]


def test_get_before_anybody_looked(objects: Objects, kubectl: Kubectl) -> None:
    """A task without a status has a line, too."""
    objects.create(task("fresh"))
    assert kubectl("get", "qt").splitlines()[1].split()[0] == "fresh"


def test_get_sources(objects: Objects, kubectl: Kubectl) -> None:
    """`kubectl get qs` says whether a source can be used, and why not."""
    stored = objects.create(source("flights", volume={"claimName": "lake", "subPath": "flights"}))
    ready = {"type": "Ready", "status": "False", "reason": "ClaimNotFound", "message": ""}
    objects.with_status(stored, conditions=[ready | {"lastTransitionTime": "2026-03-01T12:00:00Z"}])
    header, line = kubectl("get", "qs", "-o", "wide").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "CLAIM", "PATH", "AGE"]
    assert line.split()[:-1] == ["flights", "False", "ClaimNotFound", "lake", "flights"]


def test_selectable_fields(objects: Objects, kubectl: Kubectl) -> None:
    """Lists can be cut by phase and by owner on the server."""
    objects.with_status(objects.create(task("running", owner="me")), phase="Running")
    objects.create(task("other", owner="you"))
    assert kubectl("get", "qt", "--field-selector", "status.phase=Running", "-o", "name").split() == [
        "querytask.querytask.dev/running"
    ]
    assert kubectl("get", "qt", "--field-selector", "spec.owner=you", "-o", "name").split() == [
        "querytask.querytask.dev/other"
    ]


def test_wait_for_the_end(objects: Objects, kubectl: Kubectl) -> None:
    """A script waits with kubectl alone."""
    objects.with_status(objects.create(task("done")), **FULL_STATUS.document())
    assert "condition met" in kubectl("wait", "--for=condition=Finished", "qt/done", "--timeout=10s")


def test_examples_of_the_reference(objects: Objects, kubectl: Kubectl) -> None:
    """Each is applied as it stands on the page, with unknown fields refused."""
    for example in (docs.TASK_EXAMPLE, docs.SOURCE_EXAMPLE):
        assert " created" in kubectl(
            "create", "-f", "-", stdin=example.removeprefix("```yaml\n").removesuffix("```\n")
        )


def test_not_in_all(objects: Objects, kubectl: Kubectl) -> None:
    """`kubectl delete all --all` must not take results with it."""
    objects.create(task("kept"))
    assert "kept" not in kubectl("get", "all")
