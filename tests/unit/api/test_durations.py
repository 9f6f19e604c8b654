"""Durations are read as people write them, and written back exactly."""

import pytest

from querytask.api import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1_800),
        ("7d", 604_800),
        ("1h30m", 5_400),
        ("2w1d", 1_296_000),
        ("1.5h", 5_400),
        ("0.25s", 0.25),
        ("90", 90),
        ("0.5", 0.5),
        (90, 90),
        (1.5, 1.5),
        ("0s", 0),
        ("1w1d1h1m1s", 694_861),
        ("007s", 7),
    ],
)
def test_reads(text, seconds):
    """A duration is a number for each unit, the larger first, or plain seconds."""
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "m",
        "30M",
        "m30",
        "30m1h",
        "1h1h",
        "5ms",
        "1h 30m",
        "-1",
        "+1",
        "1e3",
        ".5",
        "1.2.3h",
        "30m\n",
        "9" * 10,
        True,
        None,
        -1,
        float("nan"),
        float("inf"),
        [],
        "1h" + "0" * 40 + "m",
        "1.2345s",
        "٣s",
    ],
)
def test_refuses(text):
    """Anything else is refused, with a sentence that shows it."""
    with pytest.raises(ValueError, match="must be a duration such as 30m, 7d, 1h30m or plain seconds, not"):
        durations.seconds(text)


def test_bounds():
    """Bounds are part of the question, and stand in the refusal."""
    assert durations.seconds("7d", 1, 604_800) == 604_800
    with pytest.raises(ValueError, match='must be at least 1s and at most 7d, not "8d"'):
        durations.seconds("8d", 1, 604_800)
    with pytest.raises(ValueError, match='must be at least 1s and at most unlimited, not "0s"'):
        durations.seconds("0s", 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (90, "1m30s"),
        (5_400, "1h30m"),
        (604_800, "7d"),
        (86_401.5, "1d1.5s"),
        (100, "1m40s"),
    ],
)
def test_writes(seconds, text):
    """The text is the shortest exact one, and reads back as the same."""
    assert durations.write(seconds) == text
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.004, "0s"),
        (0.044, "0.04s"),
        (0.999, "1s"),
        (2.34, "2.3s"),
        (9.96, "10s"),
        (59.9, "59s"),
        (252.7, "4m12s"),
        (3_600, "1h"),
        (3_900.5, "1h5m"),
        (3_661, "1h1m"),
        (90_000, "1d1h"),
        (1_000_000_000, "11574d1h"),
    ],
)
def test_brief(seconds, text):
    """For the eye: at most two units, never longer than its field."""
    assert durations.brief(seconds) == text
    assert len(text) <= 16


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (1e-9, "0"),
        (2.34567, "2.346"),
        (100.0, "100"),
        (1_800.1, "1800.1"),
        (-0.5, "0"),
        (1e11, "100000000000"),
    ],
)
def test_decimal(seconds, text):
    """A measured time is a plain decimal number: no exponent, no sign, at most three decimals."""
    assert durations.decimal(seconds) == text
