"""Refusals: one shape, a closed set of codes, and every exception has its own."""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException

from querytask import errors
from querytask.web.problems import CODES, Code, Problem, Refusal, answer_to, refusal_of, shown

LEAVES = [
    (errors.Unauthenticated("x", 401), Code.UNAUTHENTICATED),
    (errors.NotFound("x", 404), Code.TASK_NOT_FOUND),
    (errors.Conflict("x", 409), Code.CONFLICT),
    (errors.AlreadyExists("x", 409), Code.ALREADY_EXISTS),
    (errors.Invalid("x", 422), Code.INVALID),
    (errors.Forbidden("x", 403), Code.FORBIDDEN),
    (errors.QuotaExceeded("x", 403), Code.FORBIDDEN),
    (errors.TooManyRequests("x", 429, 7), Code.TOO_MANY_REQUESTS),
    (errors.Unavailable("x"), Code.CLUSTER_UNAVAILABLE),
    (errors.ClusterError("x"), Code.CLUSTER_UNAVAILABLE),
    (errors.StoreUnavailable("x"), Code.STORE_UNAVAILABLE),
    (errors.StoreCorrupt("x"), Code.STORE_UNAVAILABLE),
    (errors.StoreSchemaTooNew("x"), Code.STORE_UNAVAILABLE),
    (errors.StoreTooSlow("x"), Code.QUERY_TOO_SLOW),
    (errors.StoreError("x"), Code.INTERNAL),
    (errors.ExportsVolumeError("x"), Code.EXPORTS_UNAVAILABLE),
    (HTTPException(404), Code.NOT_FOUND),
    (HTTPException(405), Code.METHOD_NOT_ALLOWED),
    (HTTPException(400), Code.MALFORMED_REQUEST),
    (RuntimeError("x"), Code.INTERNAL),
]


@pytest.mark.parametrize(("error", "code"), LEAVES, ids=lambda item: type(item).__name__)
def test_what_an_exception_means(error, code):
    """One code each."""
    assert refusal_of(error).code is code


@pytest.mark.parametrize("code", Code)
def test_every_code_makes_a_problem(code):
    """With its status, and with when to come back where that helps."""
    refusal = Refusal(code, "must be so", field="f", value="v", retry_after=0.2)
    answer = answer_to(refusal, "id-1")
    body = json.loads(bytes(answer.body))
    assert answer.status_code == CODES[code].status == body["status"]
    assert answer.media_type == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert (body["code"], body["detail"], body["field"], body["value"]) == (code, "must be so", "f", "v")
    assert (body["instance"], body["type"]) == ("id-1", f"tag:querytask.dev,2026:problems/{code}")
    assert Problem.model_validate(body).code is code


def test_a_status_keeps_to_what_is_documented():
    """These and no others."""
    assert {meaning.status for meaning in CODES.values()} == {
        *(400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 503)
    }


def test_a_challenge():
    """A 401 says what is expected."""
    answer = answer_to(refusal_of(errors.Unauthenticated("x", 401)))
    assert answer.headers["www-authenticate"] == 'Bearer realm="querytask"'


@pytest.mark.parametrize("error", [error for error, _ in LEAVES if not isinstance(error, HTTPException)])
def test_nobody_is_told_where_our_files_are(error):
    """Of the store and the volume, the log says more than the answer."""
    if isinstance(error, errors.StoreError | errors.ExportsVolumeError | RuntimeError):
        assert refusal_of(error).detail != "x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 300, "x" * 200 + "…"),
        (2**70, str(2**70)),
        (5, 5),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (["a"], "['a']"),
        ("\ud800", "?"),
        (None, None),
    ],
    ids=repr,
)
def test_how_much_of_a_value_is_shown(value, text):
    """So much that one knows it again, and always as JSON."""
    assert shown(value) == text
    json.dumps(shown(value), allow_nan=False).encode()
