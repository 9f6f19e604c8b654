"""What keeps the history: it forgets what is old, it is restored when it is damaged, and what the cluster
still knows is told to it again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pysqlite3 import dbapi2

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
    assert not site.history.attempts(uid)
    assert not site.history.transitions(uid)
    (line,) = until(lambda: operator.said("^Purged "), what="it is logged, after the row has gone")
    assert f"{site.namespace}/failed ({uid}, owner data-team): last changed at" in line["message"]
    until(lambda: operator.metric("querytask_history_purged_total") == 1, what="it is counted")
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


def _say_deleted(site: Site, task: Json) -> None:
    """Let the history say what it says after a cluster was restored from a backup: gone, without an end."""
    with dbapi2.connect(site.history_dir / FILE_NAME) as connection:
        connection.execute(
            "UPDATE tasks SET phase = 'Deleted', reason = NULL, completed_at = updated_at,"
            " object_deleted_at = updated_at WHERE uid = ?",
            (task["metadata"]["uid"],),
        )
    connection.close()


def test_an_object_that_is_there_again_goes_on(site: Site) -> None:
    """Its row was closed as Deleted, and now it exists, as after a restored etcd: the row is opened again and
    follows the task to its end; nothing is retried for ever."""
    operator = site.operator()
    runs, waits = site.submit("hang", name="runs"), site.submit("succeed after=5", name="ends")
    site.reaches("runs", "Running")
    site.reaches("ends", "Running")
    operator.kill()
    _say_deleted(site, runs)
    _say_deleted(site, waits)
    operator = site.operator()
    row = site.row(runs, "Running")
    assert (row["completed_at"], row["object_deleted_at"]) == (None, None)
    site.succeeds("ends")
    site.row(waits, "Succeeded")
    assert operator.said("The object is there though its deletion was noted")
    site.cancel("runs")
    site.ends("runs", "Cancelled", "CancelRequested")
    site.row(runs, "Cancelled")
    _deleted(site, runs)


def test_an_exit_code_that_is_told_late_is_kept(site: Site) -> None:
    """A manifest is there before its container has ended: the attempt gets its exit code when that is
    seen."""
    site.operator(resync_seconds=60, progress_seconds=0.5)
    task = site.submit("succeed after=1 linger=2", name="slow")
    site.succeeds("slow")
    uid = task["metadata"]["uid"]
    (early,) = site.history.attempts(uid)
    assert early["exit_code"] is None
    until(lambda: site.history.attempts(uid)[0]["exit_code"] == 0, 20, what="the exit code", told=site.story)
    (late,) = site.history.attempts(uid)
    assert {name: value for name, value in late.items() if name not in ("exit_code", "node")} == {
        name: value for name, value in early.items() if name not in ("exit_code", "node")
    }
    site.no_pods(task)
