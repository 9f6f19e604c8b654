"""What a task looks like: every field of the history finds its place, and nothing that is known is lost."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from querytask.adapters.store import CancelRecord, StoredTask
from querytask.names import Phase
from querytask.web import files, views
from querytask.web.answers import written
from querytask.web.problems import Refusal
from querytask_worker.contract import Error, Preview, timestamp
from tests.component.store import builders


def stored(phase: str = Phase.SUCCEEDED, **fields: Any) -> StoredTask:
    """What the history holds of a task."""
    export = fields.pop("export", None)
    record = builders.task(phase=phase, **fields)
    return StoredTask(
        task=record,
        sql_hash="a" * 64,
        normal_hash="b" * 64,
        updated_at=builders.T0,
        version=1,
        attempts=(builders.attempt(),),
        export=export,
    )


def shown(found: StoredTask, live: Any = None, present: bool | None = None) -> dict[str, Any]:
    return dict(json.loads(written(views.task(found, live, present))))


@pytest.mark.parametrize(
    "moment",
    [
        builders.T0,
        dt.datetime(2026, 11, 22, 1, 2, 3, 987_654, dt.UTC),
        dt.datetime(2026, 11, 22, 1, 2, 3, 987_654, dt.timezone(dt.timedelta(hours=5, minutes=30))),
    ],
)
def test_times_are_those_of_the_mailbox(moment):
    """RFC 3339 in UTC with milliseconds, however they came."""
    text = shown(stored(created_at=moment))["created_at"]
    assert text == timestamp(moment)
    assert len(text) == len("2026-11-22T01:02:03.987Z")


@pytest.mark.parametrize(
    ("phase", "live", "status"),
    [
        (Phase.RUNNING, None, "running"),
        (Phase.RUNNING, {"spec": {"cancel": False}}, "running"),
        (Phase.RUNNING, {"spec": {"cancel": True}}, "cancelling"),
        (Phase.QUEUED, {"spec": {"cancel": True}}, "cancelling"),
        (Phase.SUCCEEDED, {"spec": {"cancel": True}}, "succeeded"),
    ],
)
def test_a_cancellation_shows_as_soon_as_it_was_asked_for(phase, live, status):
    """Before the operator has seen it; an end stays."""
    completed = builders.at(1) if phase is Phase.SUCCEEDED else None
    assert shown(stored(phase, completed_at=completed), live)["status"] == status


def test_an_error_has_its_traceback_here():
    """It is not in the object, and not in lists."""
    error = Error("InternalError", "broken", "Internal", None, False, "Traceback …")
    found = shown(stored(Phase.FAILED, error=error, completed_at=builders.at(1)))
    assert found["error"] == {
        "category": "Internal",
        "code": "InternalError",
        "message": "broken",
        "position": None,
        "retryable": False,
        "traceback": "Traceback …",
    }
    assert (found["is_success"], found["state"]) == (False, "error")


def test_an_export_and_a_cancellation():
    """With what the history knows of them, and whether the file is there."""
    cancel = CancelRecord(requested_at=builders.T0, reason="enough", actor="alice")
    found = shown(stored(export=builders.export(), cancel=cancel), present=False)
    assert found["export_status"] == found["export"]["status"] == "available"
    assert (found["export"]["file_present"], found["result_file_path"]) == (
        False,
        "analytics/uid-1/1/late.parquet",
    )
    assert found["export"]["files"][0]["name"] == "late.parquet"
    assert (found["cancel"]["reason"], found["cancel"]["actor"]) == ("enough", "alice")


def test_preview_rows_keep_their_digits():
    """A number that no double holds goes through as it is, whatever a client makes of it."""
    body = files.preview(stored(result=builders.result(), completed_at=builders.at(1)))
    assert b"[18446744073709551615]" in body or b'["UA",18446744073709551615]' in body
    assert json.loads(body)["rows"] == [["UA", 18446744073709551615], ["é", None]]


def test_a_preview_row_that_is_none_breaks_nothing():
    """The answer stays JSON, whatever the history holds."""
    preview = Preview(("[1]", "no json", "{}", "[" * 2000), truncated=False)
    body = files.preview(stored(result=builders.result(preview=preview), completed_at=builders.at(1)))
    assert json.loads(body)["rows"] == [[1]]


@pytest.mark.parametrize(
    ("phase", "completed", "code"),
    [(Phase.RUNNING, None, "NotYet"), (Phase.FAILED, builders.at(1), "NothingThere")],
)
def test_without_a_result_there_is_no_preview(phase, completed, code):
    """Not yet, or never."""
    with pytest.raises(Refusal) as caught:
        files.preview(stored(phase, completed_at=completed))
    assert caught.value.code == code
