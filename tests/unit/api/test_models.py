"""The models read what the API server stores, and write what it takes."""

import datetime as dt

import pytest

from querytask.api import parse
from querytask.api.metadata import Condition, condition, set_condition
from querytask.api.source import QuerySource
from querytask.api.task_spec import Format, Preview, Resources, Retry
from querytask.api.task_status import CancelStatus, Statistics, TaskStatus
from querytask.errors import ObjectInvalid
from querytask.names import CancelStep, Phase, Reason

NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 123_456, tzinfo=dt.UTC)
METADATA = {
    "name": "late",
    "namespace": "analytics",
    "uid": "u-1",
    "generation": 2,
    "creationTimestamp": "2026-03-01T12:00:00Z",
}


def task(status=None, **spec):
    return parse.task({"metadata": METADATA, "spec": {"sql": "SELECT 1"} | spec, "status": status or {}})


def test_defaults():
    """A task that says only its SQL has the documented defaults, in numbers."""
    spec = task().spec
    assert (spec.timeout, spec.queue_timeout, spec.priority, spec.cancel) == (1_800, 86_400, 0, False)
    assert spec.resources == Resources(cpu="1", memory="1Gi", spill="4Gi")
    assert (spec.resources.cpu, spec.resources.memory, spec.resources.spill) == (1_000, 2**30, 4 * 2**30)
    assert (spec.retry, spec.preview) == (Retry(limit=2, backoff="10s"), Preview(rows=20))
    assert (spec.export, spec.ttl_after_finished, spec.owner) == (None, None, None)


def test_an_empty_export_is_parquet():
    """`export: {}` asks for a file."""
    export = task(export={}).spec.export
    assert export is not None
    assert (export.format, export.compression, export.file_name, export.retention) == (
        Format.PARQUET,
        None,
        None,
        None,
    )


def test_unknown_fields_are_ignored():
    """A newer release's object is readable."""
    assert task(status={"phase": "Running", "later": 1}, later={"x": 1}).status.phase is Phase.RUNNING


def test_a_null_value_is_absent():
    """What a client writes as null is what the API server would have dropped."""
    assert task(parameters=[{"name": "x", "type": "DATE", "value": None}]).spec.parameters[0].value is None


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"timeout": "8d"}, 'spec.timeout: must be at least 1s and at most 7d, not "8d"'),
        ({"resources": {"cpu": "1m"}}, 'spec.resources.cpu: must be at least 10m and at most 256, not "1m"'),
        ({"sql": ""}, 'spec.sql: String should have at least 1 character, not ""'),
        (
            {"export": {"format": "Xml"}},
            "spec.export.format: Input should be 'Parquet', 'CSV' or 'JSON', not \"Xml\"",
        ),
    ],
)
def test_refusals_name_object_field_and_value(spec, sentence):
    """An object that does not fit is one error of ours, which says where and what."""
    with pytest.raises(ObjectInvalid) as caught:
        task(**spec)
    assert str(caught.value) == f"QueryTask analytics/late: {sentence}"


def test_a_missing_spec_is_named():
    """A missing part is said in a sentence, too."""
    with pytest.raises(ObjectInvalid, match="QuerySource lake: spec: Field required"):
        parse.source({"metadata": {"name": "lake"}})


def test_models_are_immutable():
    """Whoever wants another status makes another."""
    with pytest.raises(ValueError, match="frozen"):
        task().spec.priority = 3


def test_status_document():
    """A status is written in camelCase, without what is absent, times in UTC with milliseconds, measures
    as decimal text."""
    east = NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))
    status = TaskStatus(
        phase=Phase.CANCELLING,
        reason=Reason.CANCEL_REQUESTED,
        started_at=east,
        execution_seconds=2.34567,
        cancel=CancelStatus(requested_at=NOW, step=CancelStep.REQUESTED),
        statistics=Statistics(queue_seconds=0, peak_memory_bytes=7),
    )
    assert status.document() == {
        "phase": "Cancelling",
        "reason": "CancelRequested",
        "conditions": [],
        "startedAt": "2026-03-01T12:30:15.123Z",
        "executionSeconds": "2.346",
        "cancel": {"requestedAt": "2026-03-01T12:30:15.123Z", "step": "Requested"},
        "statistics": {"queueSeconds": "0", "peakMemoryBytes": 7},
    }
    assert TaskStatus.model_validate(status.document()).execution_seconds == 2.346


def test_spec_document_reads_back():
    """Numbers go back to people's spelling, and mean the same."""
    spec = task(timeout=90, resources={"memory": 2**31}, export={"retention": "36h"}, ttlAfterFinished=0).spec
    document = spec.document()
    assert (document["timeout"], document["resources"]["memory"]) == ("1m30s", "2Gi")
    assert (document["export"]["retention"], document["ttlAfterFinished"]) == ("1d12h", "0s")
    assert task(**document).spec == spec


@pytest.mark.parametrize("phase", list(Phase))
def test_finished(phase):
    """A task is finished in its three ends and in no other phase."""
    assert task(status={"phase": phase.value}).finished == (
        phase in {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}
    )


def test_source_ready():
    """A source is ready when its condition says True, and not before anybody looked."""
    raw = {
        "metadata": {"name": "lake"},
        "spec": {"volume": {"claimName": "lake", "supplementalGroups": [100]}},
    }
    assert not parse.source(raw).ready
    for word in ("True", "False", "Unknown"):
        ready = {
            "type": "Ready",
            "status": word,
            "reason": "ClaimFound",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
        }
        source: QuerySource = parse.source(raw | {"status": {"conditions": [ready]}})
        assert source.ready == (word == "True")
        assert source.spec.volume is not None
        assert source.spec.volume.supplemental_groups == (100,)


def made(kind, status, at, reason="Because"):
    return Condition(type=kind, status=status, reason=reason, last_transition_time=at)


def test_set_condition_keeps_the_time_while_the_status_stays():
    """Only a change of status is a transition; the order of the list never changes."""
    later = NOW + dt.timedelta(minutes=1)
    before = (made("Started", "False", NOW), made("Finished", "False", NOW))
    same = set_condition(before, made("Started", "False", later, "Otherwise"))
    assert [(item.type, item.reason, item.last_transition_time) for item in same] == [
        ("Started", "Otherwise", NOW),
        ("Finished", "Because", NOW),
    ]
    changed = set_condition(before, made("Started", "True", later))
    assert [(item.type, item.status, item.last_transition_time) for item in changed] == [
        ("Started", "True", later),
        ("Finished", "False", NOW),
    ]
    assert set_condition((), made("Started", "True", NOW)) == (made("Started", "True", NOW),)
    found = condition(changed, "Started")
    assert found is not None
    assert found.true
    assert condition(changed, "Absent") is None


def test_condition_time_is_in_whole_seconds():
    """As metav1.Time writes it, for clients that parse nothing else."""
    assert made("Started", "True", NOW).document()["lastTransitionTime"] == "2026-03-01T12:30:15Z"
