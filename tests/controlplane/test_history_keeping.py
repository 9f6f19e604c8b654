"""What keeps the history: it forgets what is old, it is restored when it is damaged, and what the cluster
still knows is told to it again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from querytask.adapters.store import Backups
from querytask.adapters.store.sqlite import FILE_NAME
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


def _deleted(site: Site, task: Json) -> None:
    """Delete a task's object and wait until the history knows."""
    site.delete("querytasks", task["metadata"]["name"])

    def noted() -> bool:
        row = site.history.task(task["metadata"]["uid"])
        return row is not None and row["object_deleted_at"] is not None

    until(noted, 20, what="the deletion is noted", told=site.story)


def test_what_is_old_is_forgotten(site: Site) -> None:
    """Row, files and log of a finished task whose object is gone and whose time is over; not a living
    object, nor a result that was promised for longer."""
    operator = site.operator()
    failed = site.submit("fail", name="failed", owner="data-team")
    promised = site.submit("succeed", name="promised", export={"retention": "1h"})
    living = site.submit("succeed", name="living")
    for name in ("failed", "promised", "living"):
        site.reaches(name)
    _deleted(site, failed)
    _deleted(site, promised)
    assert site.directory(failed).exists()
    operator.stop()
    operator = site.operator(task_retention="1")
    uid = failed["metadata"]["uid"]
    until(lambda: site.history.task(uid) is None, 40, what="the row is gone", told=operator.story)
    assert not site.directory(failed).exists()
    assert site.history.attempts(uid) == site.history.transitions(uid) == []
    (line,) = operator.said("^Purged ")
    assert f"{site.namespace}/failed ({uid}, owner data-team): last changed at" in line["message"]
    assert operator.metric("querytask_history_purged_total") == 1
    for task in (promised, living):
        assert site.history.task(task["metadata"]["uid"]) is not None
    assert (site.directory(promised) / "_manifest.json").exists()


def _harm(history: Path) -> None:
    """What a broken disk may leave of a file's beginning."""
    file = history / FILE_NAME
    file.write_bytes(b"\0" * 100 + file.read_bytes()[100:])


def test_a_damaged_history_is_restored_and_told_again_what_the_cluster_knows(site: Site) -> None:
    """The newest backup takes its place; finished and running tasks that it does not know, or knows to be
    less far, are recorded from their objects; all of it is said, and the damaged file is kept."""
    operator = site.operator()
    early = site.submit("succeed", name="early")
    runs = site.submit("hang", name="runs")
    site.succeeds("early")
    site.reaches("runs", "Running")
    site.row(early, "Succeeded")
    Backups(site.history_dir).make_now(dt.datetime.now(dt.UTC), 5)
    later = site.submit("succeed", name="later", export={})
    failed = site.submit("fail", name="failed")
    site.succeeds("later")
    site.reaches("failed", "Failed")
    site.row(later, "Succeeded")
    operator.kill()
    _harm(site.history_dir)

    operator = site.operator()
    operator.allowed.append("The history was damaged")
    (line,) = operator.said("The history was damaged or lost")
    assert line["level"] == "error"
    assert "the backup of" in line["message"]
    site.row(later, "Succeeded")
    site.row(failed, "Failed")
    export = site.history.export(later["metadata"]["uid"])
    assert export is not None
    assert export["state"] == "Available"
    assert site.row(early, "Succeeded")["reason"] == "Completed"
    site.row(runs, "Running")
    assert operator.metric("querytask_history_damaged_files") == 1
    assert operator.metric("querytask_history_backup_timestamp_seconds") > 0
    site.cancel("runs")
    site.ends("runs", "Cancelled", "CancelRequested")
    site.row(runs, "Cancelled")


def test_without_a_backup_the_history_begins_again(site: Site) -> None:
    """Loudly, and with every task whose object exists."""
    operator = site.operator(backups_kept=0)
    done = site.submit("succeed", name="done")
    site.succeeds("done")
    site.row(done, "Succeeded")
    operator.kill()
    _harm(site.history_dir)
    operator = site.operator(backups_kept=0)
    operator.allowed.append("The history was damaged")
    assert operator.said("there is no backup, and it begins empty")
    site.row(done, "Succeeded")
    assert operator.metric("querytask_history_damaged_files") == 1


def test_a_backup_is_made_by_itself(site: Site) -> None:
    """Soon after the first start; a restart makes no other before its time."""
    operator = site.operator()
    until(
        lambda: operator.metric("querytask_history_backups_total", result="ok") == 1,
        20,
        what="a backup is made",
        told=operator.story,
    )
    (made,) = (site.history_dir / "backups").iterdir()
    operator.stop()
    operator = site.operator()
    site.submit("succeed", name="meanwhile")
    site.succeeds("meanwhile")
    assert list((site.history_dir / "backups").iterdir()) == [made]
    assert operator.metric("querytask_history_backups_total", result="ok") == 0
