"""The application with a history that fails in every way: what a caller is told, and what not."""

from __future__ import annotations

import base64
import logging

import pytest

from querytask import errors
from tests.component.web.asking import Broken, ask


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.StoreTooSlow("x"), 422, "QueryTooSlow"),
        (errors.StoreUnavailable("/history is full", "Full"), 503, "StoreUnavailable"),
        (errors.StoreCorrupt("/history is damaged"), 503, "StoreUnavailable"),
        (errors.Conflict("somebody was quicker", 409), 409, "Conflict"),
        (RuntimeError("/history and a secret"), 500, "Internal"),
        (ValueError("text in /history is odd"), 500, "Internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/tasks/some-uid"])
async def test_a_history_that_fails(tmp_path, caplog, error, status, code, path):
    """The caller learns what kind of fault it is; a fault that nobody thought of is in the log, once, under
    the request's id."""
    with caplog.at_level(logging.ERROR, "querytask.web"):
        answer = await ask(Broken(error), tmp_path, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "/history" not in answer.text
    told = [record for record in caplog.records if record.exc_info]
    assert len(told) == (1 if status == 500 else 0)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.StoreUnavailable("disk", "Full"), "StoreUnavailable (Full): disk"),
        (errors.StoreUnavailable("busy", "Locked"), "StoreUnavailable (Locked): busy"),
        (errors.StoreCorrupt("page 7"), "StoreCorrupt: page 7"),
        (errors.StoreError("odd"), "StoreError: odd"),
        (errors.Unavailable("GET /apis: TimeoutError"), "Unavailable: GET /apis: TimeoutError"),
        (errors.ExportsVolumeError("stale", "Io"), "ExportsVolumeError (Io): stale"),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
async def test_what_is_not_the_callers_doing_is_in_the_log(tmp_path, caplog, error, cause):
    """Once, with its kind, its sentence and what it came from, and without the query string or the token."""
    error.__cause__ = OSError(5, "the disk says no")
    with caplog.at_level(logging.WARNING, "querytask.web"):
        answer = await ask(Broken(error), tmp_path, "/api/v1/tasks?text=secret-query")
    assert answer.status_code >= 500
    (told,) = (record.getMessage() for record in caplog.records if "was answered" in record.getMessage())
    assert f"{answer.status_code} {answer.json()['code']}: {cause}; from OSError: [Errno 5] the disk" in told
    assert "secret-query" not in caplog.text


async def test_what_is_the_callers_doing_is_not(tmp_path, caplog):
    """A refusal of a status below 500 is no fault."""
    with caplog.at_level(logging.WARNING, "querytask.web"):
        answer = await ask(Broken(errors.StoreTooSlow("x")), tmp_path)
    assert (answer.status_code, caplog.records) == (422, [])


async def test_a_history_that_is_not_open(tmp_path):
    """503 with when to come back."""
    answer = await ask(None, tmp_path)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        503,
        "StoreUnavailable",
        "5",
    )


async def test_a_token_whose_time_is_over_is_a_401(tmp_path):
    """Even where the cluster would know it; here it would be a 503 of the history."""
    claims = base64.urlsafe_b64encode(b'{"exp": 1000}').decode().rstrip("=")
    answer = await ask(None, tmp_path, token=f"a.{claims}.b")
    assert (answer.status_code, answer.json()["code"]) == (401, "Unauthenticated")


async def test_every_answer_says_how_it_is_to_be_taken(tmp_path):
    """No browser guesses its type, and nobody keeps it for others."""
    answer = await ask(None, tmp_path, "/healthz")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers["x-request-id"]) == 32
