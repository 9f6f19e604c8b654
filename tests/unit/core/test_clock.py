"""Times as objects, workers and people's clocks tell them."""

from __future__ import annotations

import datetime as dt

import pytest

from querytask.core import clock
from tests import builders as make


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T12:00:00Z", make.NOW),
        ("2026-11-22T12:00:00.000Z", make.NOW),
        ("2026-11-22T12:00:00.000000Z", make.NOW),
        ("2026-11-22T13:30:00+01:30", make.NOW),
        ("2026-11-22T12:00:00.123456Z", make.NOW.replace(microsecond=123456)),
    ],
)
def test_parse(text, moment):
    """Every spelling of a moment that meets us is the same moment, in UTC."""
    found = clock.parse(text)
    assert found == moment
    assert found.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-11-22", "2026-11-22T12:00:00", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-01:00"],
)
def test_parse_refuses(text):
    """A time without a zone, and one that no calendar has, is an error that can be caught as one."""
    with pytest.raises(ValueError, match=r"."):
        clock.parse(text)


def test_second():
    """``metav1.Time`` has whole seconds, in UTC."""
    berlin = dt.timezone(dt.timedelta(hours=1))
    assert clock.second(dt.datetime(2026, 11, 22, 13, 0, 0, 999_999, berlin)) == "2026-11-22T12:00:00Z"


def test_timestamp():
    """The spelling of the worker and of status times: milliseconds, cut and not rounded up."""
    assert clock.timestamp(make.NOW.replace(microsecond=999_999)) == "2026-11-22T12:00:00.999Z"


def test_between():
    """A span is never negative, for two machines' clocks differ."""
    assert clock.seconds_between(make.ago(90), make.NOW) == 90
    assert clock.seconds_between(make.NOW, make.ago(90)) == 0
    assert clock.after(make.ago(90), 60.5) == make.ago(29.5)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [(make.ago(5), make.ago(5)), (make.ago(500), make.ago(60)), (make.later(5), make.NOW)],
)
def test_within(moment, expected):
    """Another machine's time is believed only within the span that is possible."""
    assert clock.within(moment, make.ago(60), make.NOW) == expected
    assert clock.within(make.NOW, make.later(9), make.NOW) == make.later(9), (
        "the earlier bound is the truer one"
    )
