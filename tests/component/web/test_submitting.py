"""What a body becomes: the object, field by field; and the fields of a refusal, as they were sent."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from querytask import errors
from querytask.api.task_spec import TaskSpec
from querytask.web import fields, submitting
from querytask.web.problems import VALUE_CHARACTERS, Code, refusal_of
from querytask.web.submitting_models import (
    ExportRequest,
    ManifestSubmission,
    QuerySubmission,
    Submission,
    type_of,
)

BODIES: TypeAdapter[QuerySubmission | ManifestSubmission] = TypeAdapter(Submission)


def document(body: dict[str, Any]) -> dict[str, Any]:
    """The object of a body of alice's."""
    return BODIES.validate_python(body).document("alice")


def test_the_least_that_is_sent():
    """A generated name, and the caller as the owner; every default is the cluster's."""
    assert document({"sql": "SELECT 1"}) == {
        "apiVersion": "querytask.dev/v1alpha1",
        "kind": "QueryTask",
        "metadata": {"generateName": "query-"},
        "spec": {"sql": "SELECT 1", "owner": "alice"},
    }


def test_every_field_of_a_spec_can_be_sent():
    """None that the object has is missing here, but ``cancel``, which is no way to begin."""
    known = {to_camel(name) for name in QuerySubmission.model_fields}
    assert {to_camel(name) for name in TaskSpec.model_fields} - {"cancel"} <= known


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "BOOLEAN"),
        (1, "BIGINT"),
        (2**63, "HUGEINT"),
        (1.5, "DOUBLE"),
        ("x", "VARCHAR"),
        (None, "VARCHAR"),
        ([], "VARCHAR[]"),
        ([1, 2.5], "DOUBLE[]"),
        ([1, 2**63], "HUGEINT[]"),
        (["a"], "VARCHAR[]"),
        ([True], "BOOLEAN[]"),
    ],
)
def test_types_of_values(value: Any, kind: str):
    """What JSON says of a value."""
    assert type_of("a", value) == kind


@pytest.mark.parametrize("value", [[1, "x"], [True, 1]])
def test_a_list_is_of_one_type(value: Any):
    """Or its name is told."""
    with pytest.raises(ValidationError, match='the elements of "a" must be of one type'):
        document({"sql": "SELECT 1", "parameters": {"a": value}})


def test_no_digit_is_lost():
    """Numbers become text as they were sent."""
    body = {"sql": "SELECT 1", "parameters": {"a": 12345678901234567890123, "b": 0.1}}
    assert [item["value"] for item in document(body)["spec"]["parameters"]] == [
        "12345678901234567890123",
        "0.1",
    ]
    assert math.isclose(float(document(body)["spec"]["parameters"][1]["value"]), 0.1)


@pytest.mark.parametrize(
    ("sent", "kept"), [("PARQUET", "Parquet"), ("csv", "CSV"), ("Json", "JSON"), ("xml", "xml")]
)
def test_formats_in_any_case(sent: str, kept: str):
    """What is no format is left to the cluster, which says what there is."""
    assert ExportRequest(format=sent).format == kept


def test_a_manifest_keeps_what_is_the_authors():
    """Labels, annotations and the spec; not what the cluster had written."""
    metadata = {"name": "a", "labels": {"x": "y"}, "annotations": {"k": "v"}, "uid": "1", "managedFields": []}
    found = document(
        {
            "apiVersion": "querytask.dev/v1alpha1",
            "kind": "QueryTask",
            "metadata": metadata,
            "spec": {"sql": "SELECT 1", "owner": "team"},
            "status": {"phase": "Failed"},
        }
    )
    assert found["metadata"] == {"name": "a", "labels": {"x": "y"}, "annotations": {"k": "v"}}
    assert (found["spec"]["owner"], "status" in found) == ("team", False)


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("held", [["a"], "a", {"a": 1}])
def test_a_manifest_whose_labels_are_none_is_refused_by_name(field: str, held: Any):
    """Before anything is written for it."""
    body = {"apiVersion": "querytask.dev/v1alpha1", "kind": "QueryTask", "spec": {"sql": "SELECT 1"}}
    with pytest.raises(ValidationError, match="must be texts by name, not ") as caught:
        BODIES.validate_python(body | {"metadata": {field: held}})
    refusal = refusal_of(RequestValidationError(_in_body(caught.value)))
    assert (refusal.code, refusal.field) == (Code.INVALID, f"metadata.{field}")


@pytest.mark.parametrize("field", ["name", "generateName", "namespace"])
def test_a_manifest_whose_name_is_none_is_refused_by_its_field(field: str):
    """As what it is called by, not as the whole metadata."""
    body = {"apiVersion": "querytask.dev/v1alpha1", "kind": "QueryTask", "spec": {"sql": "SELECT 1"}}
    with pytest.raises(ValidationError) as caught:
        BODIES.validate_python(body | {"metadata": {field: 5}})
    assert refusal_of(RequestValidationError(_in_body(caught.value))).field == f"metadata.{field}"


def test_labels_of_a_query_are_refused_by_their_name():
    """The one that is no text."""
    with pytest.raises(ValidationError) as caught:
        BODIES.validate_python({"sql": "SELECT 1", "labels": {"team": 5}})
    assert refusal_of(RequestValidationError(_in_body(caught.value))).field == "labels.team"


def _in_body(error: ValidationError) -> list[Any]:
    """The faults as the framework tells them of a body."""
    return [item | {"loc": ("body", *item["loc"])} for item in error.errors()]


@pytest.mark.parametrize("body", [{"kind": "QueryTask"}, {"spec": {}}, {"apiVersion": "v1", "sql": "x"}])
def test_what_looks_like_a_manifest_is_one(body: dict[str, Any]):
    """And is told what it lacks as one."""
    with pytest.raises(ValidationError, match=r"ManifestSubmission|<manifest>"):
        BODIES.validate_python(body)


@pytest.mark.parametrize(
    ("field", "own"),
    [
        ("spec.queueTimeout", "queue_timeout"),
        ("spec.export.fileName", "export.file_name"),
        ("spec.parameters[2].value", "parameters.2.value"),
        ("metadata.name", "name"),
        ("metadata.labels", "labels"),
        ("spec.sql", "sql"),
    ],
)
def test_fields_are_called_as_they_were_sent(field: str, own: str):
    """Whoever sends `queue_timeout` does not look for `spec.queueTimeout`."""
    assert fields.own_name(field) == own


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec.priority", 1_000_000_000),
        ("spec.parameters[1].values[0]", "x"),
        ("metadata.labels[a.b/c]", "the data"),
        ("spec.parameters[2].value", None),
        ("spec.parameters[a]", None),
        ("spec.timeout", None),
        ("spec.sql.deeper", None),
    ],
)
def test_what_a_field_held_is_found_by_its_path(field: str, value: Any):
    """Nothing where nothing is."""
    sent = {
        "metadata": {"labels": {"a.b/c": "the data"}},
        "spec": {"sql": "SELECT 1", "priority": 1_000_000_000, "parameters": [{}, {"values": ["x"]}]},
    }
    assert fields.value_at(sent, field) == value


def test_a_refusal_says_what_the_fields_held():
    """Of each field at fault, though the cluster's own words for it are left out; not more than is shown of
    any value."""
    error = errors.Invalid("no", 422, [("spec.priority", "must be less"), ("spec.sql", "must be short")])
    sent = {"spec": {"priority": 7, "sql": "x" * 1000}}
    refusal = submitting.refused(error, sent, renamed=True)
    assert (refusal.field, refusal.value, refusal.detail) == ("priority", 7, "priority: must be less")
    assert [(item.field, item.value) for item in refusal.faults or ()] == [
        ("priority", 7),
        ("sql", "x" * VALUE_CHARACTERS + "\u2026"),
    ]
    whole = submitting.refused(error, sent, renamed=False)
    assert (whole.field, whole.value) == ("spec.priority", 7)
