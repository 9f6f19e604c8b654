"""When a backup is made, what is said and counted of it, and what the start says of the history."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.store import Backup, Prepared
from querytask.runtime import keeping
from querytask.runtime.backups import BackupTimer

T0 = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
HOUR = 3600.0


def at(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


class Files:
    """Backups without a disk; ``error`` is raised by the next one."""

    def __init__(self, newest: dt.datetime | None = None) -> None:
        self.found = Backup(Path("b"), newest, 1) if newest else None
        self.error: errors.StoreError | None = None
        self.kept: list[int] = []

    async def newest(self) -> Backup | None:
        return self.found

    async def make(self, moment: dt.datetime, kept: int) -> Backup:
        if self.error is not None:
            raise self.error
        self.kept.append(kept)
        self.found = Backup(Path("b"), moment, 10)
        return self.found


class Counted:
    def __init__(self) -> None:
        self.results: list[str] = []

    def backed_up(self, result: str) -> None:
        self.results.append(result)


def timer(files: Files, now: list[dt.datetime], counted: Counted | None = None) -> BackupTimer:
    return BackupTimer(files, HOUR, 3, lambda: now[0], counted or Counted())


@pytest.mark.parametrize(
    ("newest", "made"),
    [(None, True), (at(-HOUR), True), (at(1 - HOUR), False), (at(0), False), (at(1), True)],
    ids=["none", "old", "young", "just made", "of the future"],
)
async def test_a_backup_is_made_when_the_newest_is_old(newest: dt.datetime | None, made: bool) -> None:
    """However often the operator is started; a clock that was wrong does not stop them for ever."""
    files = Files(newest)
    assert (await timer(files, [T0]).run_once() is not None) is made
    assert files.kept == [3] * made


async def test_a_failure_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every look, and long before the next one is due."""
    files, now, counted = Files(), [T0], Counted()
    files.error = errors.StoreUnavailable("no room", "Full")
    backups = timer(files, now, counted)
    assert await backups.run_once() is None
    now[0] = at(299)
    assert await backups.run_once() is None
    assert counted.results == ["error"]
    assert "The backup of the history has failed: no room" in caplog.text
    now[0], files.error = at(300), None
    assert await backups.run_once() is not None
    assert counted.results == ["error", "ok"]
    now[0] = at(301)
    assert await backups.run_once() is None


def said(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> tuple[int, str]:
    caplog.set_level(logging.INFO)
    caplog.clear()
    keeping.say(prepared)
    (record,) = caplog.records
    return record.levelno, record.getMessage()


def test_a_sound_history_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """With what it has cost to know."""
    assert said(Prepared(0.5, 4096), caplog) == (
        logging.INFO,
        "The history is sound: 4096 bytes, looked at in 0.50 s",
    )


def test_damage_is_said_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """What was wrong, where it lies, what took its place, what follows."""
    aside, backup = Path("/history/history.db.damaged-1"), Backup(Path("/b"), T0, 1)
    level, text = said(Prepared(0.1, 1, "bad page", aside, backup), caplog)
    assert level == logging.ERROR
    assert text == (
        "The history was damaged or lost (bad page): what was there is now /history/history.db.damaged-1,"
        " the backup of 2026-01-01T12:00:00Z has taken its place;"
        " tasks whose objects exist are recorded again"
    )
    level, text = said(Prepared(0.1, 0, "it is gone"), caplog)
    assert level == logging.ERROR
    assert "nothing was there to be kept, there is no backup, and it begins empty" in text


def test_missing_steps_are_said_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """Though the file is whole."""
    level, text = said(Prepared(0.1, 1, missing=7), caplog)
    assert level == logging.ERROR
    assert text.startswith("The history has lost its newest steps, 7 or more")


def test_a_restore_that_was_asked_for_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """But it is said."""
    level, text = said(
        Prepared(0.0, 1, aside=Path("/a"), restored=Backup(Path("/b"), T0, 1), asked=True), caplog
    )
    assert level == logging.WARNING
    assert "as somebody had asked: what was there is now /a, the backup has taken its place" in text


class Api:
    """A cluster with one pod, or none."""

    def __init__(self, *, pod: bool = True) -> None:
        self.pod, self.events = pod, []  # type: ignore[var-annotated]

    async def get_pod(self, name: str) -> dict[str, Any]:
        if not self.pod:
            raise errors.NotFound(name)
        return {"metadata": {"uid": "pod-uid"}}

    async def create_event(self, body: dict[str, Any]) -> None:
        self.events.append(body)


async def test_the_cluster_is_told_of_damage_and_of_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """A Warning on the operator's pod; that it cannot be written stops nobody."""
    api: Any = Api()
    await keeping.tell(api, "analytics", "qt-0", Prepared(0.1, 1), T0)
    assert api.events == []
    await keeping.tell(api, "analytics", "qt-0", Prepared(0.1, 1, "bad page"), T0)
    (event,) = api.events
    assert (event["type"], event["reason"]) == ("Warning", "HistoryReplaced")
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "qt-0",
        "namespace": "analytics",
        "uid": "pod-uid",
    }
    assert event["message"].startswith("The history was damaged or lost (bad page)")
    nobody: Any = Api(pod=False)
    await keeping.tell(nobody, "analytics", "qt-0", Prepared(0.1, 1, "bad page"), T0)
    assert "could not be written" in caplog.text
