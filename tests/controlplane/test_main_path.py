"""From ``kubectl apply`` to a result, when nothing goes wrong."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import pytest

from querytask import names
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.observer import condition
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

STEPS = [("Queued", "PodPending", 1), ("Running", "Started", 1), ("Succeeded", "Completed", 1)]


def test_a_task_goes_its_three_steps_and_tells_its_result(shared: Site) -> None:
    """Queued, Running, Succeeded, and no other step; the status then holds rows, columns and preview."""
    task = shared.submit("succeed after=1.5 rows=3", name="three-steps")
    status = shared.succeeds("three-steps")
    assert shared.observer.steps(task["metadata"]["uid"]) == STEPS
    assert status["result"]["rows"] == 3
    assert status["result"]["columns"] == [
        {"name": "number", "type": "INTEGER"},
        {"name": "text", "type": "VARCHAR"},
    ]
    assert [json.loads(row) for row in status["result"]["preview"]] == [
        [0, "row 0"],
        [1, "row 1"],
        [2, "row 2"],
    ]
    assert status["progress"] == 100
    assert status["podName"] == names.pod_name(task["metadata"]["uid"], 1)
    assert (status["attempt"], status["message"]) == (1, "3 rows")


def test_an_export_is_told_as_it_lies_on_the_volume(shared: Site) -> None:
    """Path, size, rows and checksum in the status are those of the file, and it expires when its manifest
    says."""
    export = {"format": "CSV", "compression": "Gzip", "fileName": "late", "retention": "30m"}
    task = shared.submit("succeed rows=4", name="export", export=export)
    told = shared.succeeds("export")["export"]
    file = shared.exports / told["path"]
    assert told["path"] == f"{shared.namespace}/{task['metadata']['uid']}/1/late.csv.gz"
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (told["bytes"], told["rows"], told["files"]) == (file.stat().st_size, 4, 1)
    assert (told["state"], told["format"], told["compression"]) == ("Available", "CSV", "Gzip")
    manifest = json.loads((shared.directory(task) / "_manifest.json").read_text())
    assert told["expiresAt"] == manifest["expiresAt"]
    kept = dt.datetime.fromisoformat(told["expiresAt"]) - dt.datetime.fromisoformat(manifest["publishedAt"])
    assert kept == dt.timedelta(minutes=30)


def test_a_task_without_an_export_keeps_its_rows_for_the_default_time(shared: Site) -> None:
    """A preview-only task exports nothing, and its manifest still has a time at which it goes."""
    shared.submit("succeed", name="preview")
    told = shared.succeeds("preview")["export"]
    assert told["state"] == "NotApplicable"
    assert "path" not in told
    left = dt.datetime.fromisoformat(told["expiresAt"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=6, hours=23) < left < dt.timedelta(days=7)


def test_the_conditions_are_the_contract(shared: Site) -> None:
    """Every condition is there with a reason and the generation that it was made for."""
    shared.submit("succeed", name="conditions", export={})
    shared.succeeds("conditions")
    task = shared.task("conditions")
    found = {
        item["type"]: (item["status"], item["reason"], item["observedGeneration"])
        for item in task["status"]["conditions"]
    }
    assert found == {
        "Scheduled": ("True", "PodCreated", 1),
        "Started": ("True", "Started", 1),
        "Exported": ("True", "Published", 1),
        "Recorded": ("True", "Recorded", 1),
        "Finished": ("True", "Completed", 1),
        "Succeeded": ("True", "Completed", 1),
    }
    assert task["status"]["observedGeneration"] == task["metadata"]["generation"]


def test_an_unfinished_task_is_not_finished_and_not_yet_succeeded(shared: Site) -> None:
    """``Finished`` is false while it runs, so that ``kubectl wait`` waits; ``Succeeded`` is not known."""
    shared.submit("hang", name="unfinished")
    task = shared.reaches("unfinished", "Running")
    assert condition(task, "Finished")["status"] == "False"
    assert condition(task, "Succeeded")["status"] == "Unknown"
    assert condition(task, "Started")["status"] == "True"
    shared.cancel("unfinished")
    shared.ends("unfinished", "Cancelled", "CancelRequested")
    assert condition(shared.task("unfinished"), "Finished")["status"] == "True"
    assert condition(shared.task("unfinished"), "Succeeded")["status"] == "False"


def test_each_step_is_one_event(shared: Site) -> None:
    """There is exactly one Event for each step, of type Normal where nothing went wrong."""
    task = shared.submit("succeed after=1.5", name="events")
    shared.succeeds("events")
    uid = task["metadata"]["uid"]
    shared.sees(lambda: len(shared.observer.events_of(uid)) >= 3, "there are three Events")
    found = shared.observer.events_of(uid)
    assert [(event["reason"], event["type"]) for event in found] == [
        ("PodPending", "Normal"),
        ("Started", "Normal"),
        ("Completed", "Normal"),
    ]
    assert {event["involvedObject"]["name"] for event in found} == {"events"}


def test_the_history_has_the_task_its_attempt_its_export_and_its_steps(shared: Site) -> None:
    """What the object tells is in the history, too: one row of each, and one for each step."""
    task = shared.submit(
        "succeed after=1.5 rows=3", name="recorded", export={}, owner="data-team", priority=7
    )
    status = shared.succeeds("recorded")
    uid = task["metadata"]["uid"]
    row = shared.row(task, "Succeeded")
    assert (row["name"], row["owner"], row["priority"], row["reason"]) == (
        "recorded",
        "data-team",
        7,
        "Completed",
    )
    assert (row["completed_at"], row["started_at"]) == (
        _millis(status["completedAt"]),
        _millis(status["startedAt"]),
    )
    (attempt,) = shared.history.attempts(uid)
    assert (attempt["attempt"], attempt["reason"], attempt["node"]) == (1, "Completed", "node-1")
    assert attempt["pod_name"] == status["podName"]
    assert attempt["granted_at"] // 1000 <= attempt["started_at"] // 1000 <= attempt["finished_at"] // 1000
    export = shared.history.export(uid)
    assert export is not None
    assert (export["state"], export["path"], export["sha256"]) == (
        "Available",
        status["export"]["path"],
        status["export"]["sha256"],
    )
    assert shared.history.transitions(uid) == STEPS


def test_the_pod_goes_once_its_end_is_recorded(shared: Site) -> None:
    """With ``keepFinishedPods: None`` no pod is left of a task that has finished; the mailbox stays."""
    task = shared.submit("succeed", name="tidy")
    shared.succeeds("tidy")
    shared.no_pods(task)
    assert (shared.directory(task) / "1" / "_outcome.json").exists()


def test_times_are_in_order_and_the_durations_follow_from_them(shared: Site) -> None:
    """queuedAt, startedAt, completedAt come in this order; executionSeconds is the time between the last two,
    as the worker measured it: a pod's own times are whole seconds."""
    task = shared.submit("succeed after=1.2", name="times")
    status = shared.succeeds("times")
    manifest = json.loads((shared.directory(task) / "_manifest.json").read_text())
    worked = dt.datetime.fromisoformat(manifest["startedAt"])
    published = dt.datetime.fromisoformat(manifest["publishedAt"])
    queued, started, completed = (
        dt.datetime.fromisoformat(status[name]) for name in ("queuedAt", "startedAt", "completedAt")
    )
    assert queued.replace(microsecond=0) <= started <= worked < completed == published
    assert float(status["executionSeconds"]) == pytest.approx((published - worked).total_seconds())
    assert float(status["executionSeconds"]) >= 1.2
    assert float(status["statistics"]["engineSeconds"]) == 0.1
    assert float(status["statistics"]["queueSeconds"]) >= 0


def test_a_running_task_shows_its_progress(shared: Site) -> None:
    """The percentage in the mailbox reaches the status while the task runs."""
    shared.submit("hang progress=42", name="progress")
    shared.sees(lambda: shared.task("progress").get("status", {}).get("progress") == 42, "progress is 42")
    shared.cancel("progress")
    assert shared.ends("progress", "Cancelled", "CancelRequested").get("progress") != 100


def test_a_name_of_253_characters_works(shared: Site) -> None:
    """A name as long as names may be, with dots, which no label could hold, is no trouble to anybody."""
    name = ".".join(["a" * 62] * 4)[:253].rstrip(".")
    task = shared.submit("succeed", name=name, export={})
    assert len(name) > 250
    status = shared.succeeds(name)
    assert shared.row(task, "Succeeded")["name"] == name
    assert (shared.exports / status["export"]["path"]).exists()
    assert len(shared.observer.events_of(task["metadata"]["uid"])) >= 1


def test_sql_of_any_characters_reaches_the_worker_unchanged(shared: Site) -> None:
    """The SQL travels in the mailbox, so quotes, emoji, line ends and 64 KiB of text arrive as they were."""
    sql = "SELECT 'ünïcode 🦆 \u2028 \\ \" $x ${HOME} $(id)' -- \n\t" + "x" * 60_000
    task = shared.submit(name="unicode", sql=sql)
    shared.succeeds("unicode")
    assignment = json.loads((shared.directory(task) / "1" / "_assignment.json").read_text())
    assert assignment["sql"] == sql
    pod = shared.kubelet.played
    assert (names.pod_name(task["metadata"]["uid"], 1), "succeed") in pod


def test_a_result_of_500_columns_fits_into_the_status(shared: Site) -> None:
    """Objects stay small: the status has as many of the first 50 columns as fit, and says that there are
    more."""
    task = shared.submit("hang", name="wide", export={})
    shared.reaches("wide", "Running")
    directory = shared.directory(task) / "1"
    manifest = _manifest(task, shared, columns=500, cell="x" * 4000)
    (directory / "_manifest.json").write_text(json.dumps(manifest))
    (shared.directory(task) / "_manifest.json").hardlink_to(directory / "_manifest.json")
    shared.delete("pods", names.pod_name(task["metadata"]["uid"], 1))
    status = shared.succeeds("wide")
    assert 1 < len(status["result"]["columns"]) <= 50
    assert status["result"]["truncated"] is True
    assert status["result"]["rows"] == 2
    assert len(json.dumps(status, ensure_ascii=False, separators=(",", ":")).encode()) <= 8192


def test_a_worker_gets_only_what_its_task_names(shared: Site) -> None:
    """The pod runs as nobody, without a token, under the workers' account, in its own directory."""
    task = shared.submit("hang", name="restricted", resources={"cpu": "250m", "memory": "256Mi"})
    spec = shared.pod_of(task)["spec"]
    (container,) = spec["containers"]
    assert spec["serviceAccountName"] == "querytask-operator-worker"
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"] == "256Mi"
    assert container["volumeMounts"][0]["subPath"] == f"{shared.namespace}/{task['metadata']['uid']}"
    shared.cancel("restricted")
    shared.reaches("restricted", "Cancelled")


def test_what_is_at_rest_stays_at_rest(shared: Site) -> None:
    """When every task has its end, resyncs and timers go by and no object changes any more."""
    task = shared.submit("succeed", name="at-rest", export={})
    shared.succeeds("at-rest")
    shared.no_pods(task)
    version = (shared.get(names.TASK_PLURAL, "at-rest") or {})["metadata"]["resourceVersion"]
    operator = shared.operators[0]
    before = operator.metric("querytask_resync_timestamp_seconds")
    until(
        lambda: operator.metric("querytask_resync_timestamp_seconds") > before + 4,
        what="two resyncs have gone by",
    )
    assert (shared.get(names.TASK_PLURAL, "at-rest") or {})["metadata"]["resourceVersion"] == version
    assert shared.observer.at_rest() == []


def _manifest(task: Json, site: Site, *, columns: int, cell: str) -> Json:
    moment = dt.datetime.now(dt.UTC)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "version": 1,
        "namespace": site.namespace,
        "name": task["metadata"]["name"],
        "uid": task["metadata"]["uid"],
        "attempt": 1,
        "startedAt": stamp,
        "publishedAt": stamp,
        "expiresAt": (moment + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "sqlSha256": "0" * 64,
        "duckdbVersion": "1",
        "rows": 2,
        "columns": [
            {"name": f"column {number} " + "ü" * 100, "type": "VARCHAR"} for number in range(columns)
        ],
        "preview": {"rows": [json.dumps([cell] * 50)] * 2, "truncated": False},
    }


def _millis(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)
