"""What a task that has ended is refused with; what the cluster says is told in the caller's words."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from querytask import errors
from querytask.adapters.answers import translate
from querytask.adapters.store import TaskRecord
from querytask.web.cancelling import finished
from querytask.web.problems import Code, refusal_of


def task(phase: str, completed_at: dt.datetime | None) -> TaskRecord:
    """A task with that end."""
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return TaskRecord(
        uid="1", namespace="x", name="late", created_at=moment, phase=phase, completed_at=completed_at
    )


@pytest.mark.parametrize(
    ("phase", "word"), [("Succeeded", "succeeded"), ("Cancelled", "cancelled"), ("Deleted", "deleted")]
)
def test_the_end_is_told(phase: str, word: str):
    """Which, and since when."""
    refusal = finished(task(phase, dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)))
    assert (refusal.status, refusal.code, refusal.value) == (400, Code.TASK_FINISHED, word)
    assert refusal.detail == (
        f'the task "late" is {word} since 2026-01-02T03:04:05Z; it cannot be cancelled any more'
    )


def test_an_end_that_only_the_cluster_knows():
    """Is told without a time."""
    assert 'the task "late" has ended' in finished(task("Running", None)).detail


def status(*causes: tuple[str, str], message: str = "it is invalid") -> str:
    """A refusal of the API server."""
    listed = [{"reason": "FieldValueInvalid", "field": field, "message": text} for field, text in causes]
    return json.dumps({"kind": "Status", "message": message, "details": {"causes": listed}})


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ('Invalid value: "string": must be a duration; not "soon"', 'must be a duration; not "soon"'),
        ('Invalid value: "a\\"b": must be: short', "must be: short"),
        ('Invalid value: "": should be at least 1 chars long', "should be at least 1 chars long"),
        ("Invalid value: 0: must be at least 1", "must be at least 1"),
        ("Forbidden: spec.cancel must stay true", "spec.cancel must stay true"),
        ('Unsupported value: "xml": supported values: "CSV"', 'supported values: "CSV"'),
        ("Required value", "Required value"),
        ("must hold", "must hold"),
    ],
)
def test_the_cluster_s_words_for_a_fault_are_left_out(message: str, detail: str):
    """The sentence stays."""
    found = translate(422, status(("spec.timeout", message)), {})
    assert isinstance(found, errors.Invalid)
    assert found.causes == (("spec.timeout", detail),)


def test_several_fields_are_all_told():
    """The first one in the sentence, each in the list."""
    refusal = refusal_of(translate(422, status(("spec.a", "must be a"), ("spec.b", "must be b")), {}))
    assert (refusal.code, refusal.field, refusal.detail) == (Code.INVALID, "spec.a", "spec.a: must be a")
    assert [(item.field, item.detail) for item in refusal.faults or ()] == [
        ("spec.a", "must be a"),
        ("spec.b", "must be b"),
    ]


def test_a_field_that_is_not_known_is_named():
    """The cluster tells it in a sentence alone."""
    text = json.dumps(
        {"message": 'strict decoding error: unknown field "spec.image"', "reason": "BadRequest"}
    )
    assert refusal_of(translate(400, text, {})).field == "spec.image"
