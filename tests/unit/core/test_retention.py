"""How long the history keeps a task, by rule."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from querytask.core import retention
from querytask.core.collection_facts import DirectoryFacts, ManifestFacts
from querytask.core.retention import KeptTask
from querytask.errors import SettingsError

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
KEPT = 24 * HOUR
OLD = KeptTask(
    uid="uid-1",
    namespace="analytics",
    name="late",
    owner="data-team",
    updated_at=NOW - KEPT,
    completed_at=NOW - 2 * KEPT,
    object_deleted_at=NOW - KEPT,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7d", 604_800), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90", 90), ("3650d", 315_360_000)],
)
def test_periods(text: str, seconds: float) -> None:
    """As people write them, or plain seconds."""
    assert retention.period(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["0", "0d", "soon", "", "100000d"])
def test_what_is_no_period(text: str) -> None:
    """Nothing is kept for no time, and nothing for longer than the calendar goes."""
    with pytest.raises(SettingsError, match=f'taskRetention must be .*not "{text}"'):
        retention.period(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 30), ("10m", 30), ("30m", 90), ("1h", 180), ("2h", 300), ("90d", 300)],
)
def test_the_scan_follows_the_period(text: str, seconds: float) -> None:
    """Often enough for a short period, never more often than every 30 s nor less than every 300 s."""
    assert retention.scan_seconds(retention.period(text)) == seconds


@pytest.mark.parametrize(
    ("change", "goes"),
    [
        ({}, True),
        ({"updated_at": NOW - KEPT + dt.timedelta(milliseconds=1)}, False),
        ({"completed_at": None}, False),
        ({"object_deleted_at": None}, False),
        ({"expires_at": NOW}, True),
        ({"expires_at": NOW + dt.timedelta(milliseconds=1)}, False),
        ({"expires_at": NOW + HOUR, "removed_at": NOW - HOUR}, True),
    ],
    ids=["old", "too young", "unfinished", "object", "expired", "export has time left", "files gone"],
)
def test_who_goes(change: dict[str, Any], goes: bool) -> None:
    """Finished, object gone, unchanged for the whole period, and nothing promised for longer."""
    assert retention.over(dataclasses.replace(OLD, **change), NOW, KEPT) is goes


@pytest.mark.parametrize(
    ("manifest", "told", "until"),
    [
        (None, NOW + HOUR, None),
        (ManifestFacts(1, NOW + HOUR), None, NOW + HOUR),
        (ManifestFacts(1, NOW - HOUR), NOW + HOUR, NOW - HOUR),
        (ManifestFacts(None, None), NOW + HOUR, NOW + HOUR),
        (ManifestFacts(None, None), None, NOW + KEPT),
    ],
    ids=["none", "manifest", "manifest wins", "damaged, known", "damaged, unknown"],
)
def test_how_long_files_stay(
    manifest: ManifestFacts | None, told: dt.datetime | None, until: dt.datetime | None
) -> None:
    """The manifest's own time rules, then the history's, then the last change of the files."""
    directory = DirectoryFacts("analytics", "uid-1", manifest, (), NOW)
    assert retention.files_kept_until(directory, told, KEPT) == until


def test_the_reason_is_a_sentence() -> None:
    """With the time and the period."""
    assert retention.reason(OLD, KEPT) == (
        "last changed at 2026-05-31T12:00:00Z, and a finished task is kept for 1d"
    )
