"""A token that says its time is over is not asked about; what else it says is not believed."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest

from querytask.web.authentication import is_over

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def token(claims: object) -> str:
    """A token with these claims, which nobody has signed."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{body}.signature"


@pytest.mark.parametrize("seconds", [121, 3600, 10**9, 0.5 + 121])
def test_a_time_that_is_past(seconds):
    """By more than two clocks may differ."""
    assert is_over(token({"exp": NOW.timestamp() - seconds}), NOW)


@pytest.mark.parametrize("seconds", [119, 0, -1, -3600])
def test_a_time_that_is_not(seconds):
    """Or only just."""
    assert not is_over(token({"exp": NOW.timestamp() - seconds}), NOW)


@pytest.mark.parametrize(
    "given",
    [
        *("opaque", "a.b.c", "a..c", "..", "a.=.c", "a.b.c.d", "a." + "W1tb" * 3000 + ".c"),
        *map(token, ([], {}, 5, None, {"exp": "1"}, {"exp": True}, {"exp": None}, {"exp": float("nan")})),
    ],
    ids=lambda value: value[:30],
)
def test_what_says_nothing_is_the_api_servers_to_judge(given):
    """Whatever it looks like."""
    assert not is_over(given, NOW)
