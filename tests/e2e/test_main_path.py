"""What a user of kubectl sees of a task that goes well, from its first Event to its history."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from tests.e2e.kit.site import Site
from tests.e2e.kit.watch import Witness

SQL = "SELECT origin, count(*) AS flights FROM 'flights/flights.parquet' GROUP BY ALL ORDER BY ALL"
Json = dict[str, object]


@pytest.fixture(scope="module")
def done(site: Site) -> dict[str, object]:
    """A task with a source and an export that has succeeded."""
    return site.run("main-path", SQL, sources=["flights"], export={"format": "Parquet"}, owner="data-team")


def test_conditions(site: Site, done: dict) -> None:
    """Every condition is there, says the truth about this generation of the object, and gives a reason."""
    conditions = {
        item["type"]: (item["status"], item["reason"], item["observedGeneration"])
        for item in done["status"]["conditions"]
    }

    generation = done["metadata"]["generation"]
    assert conditions == {
        "SourcesReady": ("True", "SourcesReady", generation),
        "Scheduled": ("True", "PodCreated", generation),
        "Started": ("True", "Started", generation),
        "Exported": ("True", "Published", generation),
        "Recorded": ("True", "Recorded", generation),
        "Finished": ("True", "Completed", generation),
        "Succeeded": ("True", "Completed", generation),
    }


def test_times(done: dict) -> None:
    """The times of a task follow each other, and its result is kept for the seven days of the default."""
    status = done["status"]
    created = dt.datetime.fromisoformat(done["metadata"]["creationTimestamp"])
    queued, started, completed, expires = (
        dt.datetime.fromisoformat(value)
        for value in (
            status["queuedAt"],
            status["startedAt"],
            status["completedAt"],
            status["export"]["expiresAt"],
        )
    )

    assert created <= queued <= completed
    assert started <= completed
    assert 0 < float(status["executionSeconds"]) < 120
    assert dt.timedelta(days=7) <= expires - started <= dt.timedelta(days=7, minutes=2)


def test_phases(site: Site, done: dict, witness: Witness) -> None:
    """A watch sees the task go from Queued to Succeeded, and nothing after that."""
    phases = witness.phases(done["metadata"]["uid"])

    assert phases[0] == "Queued"
    assert phases[-1] == "Succeeded"
    assert set(phases) <= {"Queued", "Running", "Succeeded"}


def test_printer_columns(site: Site, done: dict) -> None:
    """`kubectl get qt` shows what people look for; `-o wide` adds attempt, reason and pod."""
    head, row = site.kube("get", "qt", "main-path").splitlines()
    wide_head, wide_row = site.kube("get", "qt", "main-path", "-o", "wide").splitlines()

    assert head.split() == ["NAME", "PHASE", "PROGRESS", "ROWS", "EXPORT", "DURATION", "AGE"]
    assert row.split()[:6] == ["main-path", "Succeeded", "100", "3", "Available", done["status"]["duration"]]
    assert wide_head.split() == [
        *["NAME", "PHASE", "PROGRESS", "ROWS", "EXPORT", "DURATION", "ATTEMPT", "REASON", "POD", "AGE"]
    ]
    assert wide_row.split()[6:9] == ["1", "Completed", done["status"]["podName"]]


def test_events(site: Site, done: dict) -> None:
    """`kubectl events --for` tells the way of the task, an Event for each transition."""
    told = json.loads(site.kube("events", "--for", "querytask/main-path", "-o", "json"))["items"]
    told.sort(key=lambda item: item["lastTimestamp"])

    reasons = [item["reason"] for item in told]
    assert {"PodPending", "Completed"} <= set(reasons) <= {"PodPending", "Started", "Completed"}
    assert len(reasons) == len(set(reasons))
    assert {item["type"] for item in told} == {"Normal"}
    assert told[-1]["message"] == "Succeeded: 3 rows, main-path.parquet"


def test_describe(site: Site, done: dict) -> None:
    """`kubectl describe` shows the sentence and the Events."""
    text = site.kube("describe", "querytask", "main-path")

    assert "3 rows, main-path.parquet" in text
    assert "Events:" in text
    assert "querytask-operator" in text


def test_explain(site: Site) -> None:
    """`kubectl explain` documents every field of the export, by the short name, too."""
    text = site.kube("explain", "qt.spec.export")

    for field in ("format", "compression", "fileName", "retention"):
        assert f"  {field}\t<" in text
    assert "<no description>" not in text
    assert "Parquet" in text


def test_list_by_phase(site: Site, done: dict) -> None:
    """A field selector on the phase finds the task."""
    found = site.kube.items("querytasks", "--field-selector=status.phase=Succeeded")

    assert "main-path" in [item["metadata"]["name"] for item in found]


def test_history(site: Site, done: dict) -> None:
    """The history has one row of the task, its attempt and its export, equal to what the object says."""
    uid, status = done["metadata"]["uid"], done["status"]
    tasks = site.history("SELECT name, phase, reason, owner, attempt FROM tasks WHERE uid = ?", uid)
    attempts = site.history("SELECT attempt, pod_name, reason FROM attempts WHERE uid = ?", uid)
    exports = site.history("SELECT state, path, sha256, rows FROM exports WHERE uid = ?", uid)
    steps = site.history("SELECT phase FROM transitions WHERE uid = ? ORDER BY id", uid)

    assert tasks == [
        {
            "name": "main-path",
            "phase": "Succeeded",
            "reason": "Completed",
            "owner": "data-team",
            "attempt": 1,
        }
    ]
    assert attempts == [{"attempt": 1, "pod_name": status["podName"], "reason": "Completed"}]
    export = status["export"]
    assert exports == [{"state": "Available", "path": export["path"], "sha256": export["sha256"], "rows": 3}]
    assert [step["phase"] for step in steps][-1] == "Succeeded"


def test_pod_of_success_goes(site: Site, done: dict) -> None:
    """A pod that has succeeded is deleted once its end is recorded."""
    site.pod_gone(done["status"]["podName"])

    assert site.pods(done["metadata"]["uid"]) == []


def test_pod_of_failure_is_kept_for_a_while(site: Site) -> None:
    """The pod of a failure stays with its log for `keptPodSeconds`, and then goes by itself."""
    task = site.run("kept-for-its-log", "SELECT nothing FROM nowhere")
    pod = task["status"]["podName"]

    log = [json.loads(line) for line in site.kube("logs", pod).splitlines()]
    assert log[-1]["reason"] == "SqlError"
    assert {line["task"] for line in log if "task" in line} == {"kept-for-its-log"}
    site.pod_gone(pod)
