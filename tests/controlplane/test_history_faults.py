"""The history cannot be written: what runs finishes and says so, nothing new starts, and the rows follow.

The volume is a small tmpfs that fills up, so these tests need root. A volume that turns read-only under an
open database is among the tests of the store; here it is one that is read-only when the operator starts.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from pysqlite3 import dbapi2

from querytask.adapters.store.sqlite import FILE_NAME
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.observer import condition
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a volume needs root")


def _fill(site: Site) -> None:
    """Leave no room on the history's volume."""
    with (site.history_dir / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def _empty(site: Site) -> None:
    (site.history_dir / "ballast").unlink()


@pytest.fixture
def small(sites: Sites) -> Iterator[Site]:
    """An installation whose history is on a volume of 3 MiB."""
    site = sites(max_running=2)
    _run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(site.history_dir))
    yield site
    for operator in site.operators:
        operator.stop()
    _run("umount", "--lazy", str(site.history_dir))


def test_running_tasks_finish_and_their_rows_follow(small: Site) -> None:
    """Running tasks end with Recorded=False and keep their pod; nothing new starts; when the volume takes
    rows again, Recorded turns true, the pods go, and what waited runs."""
    operator = small.operator()
    task = small.submit("succeed after=2", name="runs", export={})
    small.reaches("runs", "Running")
    _fill(small)
    status = small.succeeds("runs")
    recorded = condition(small.task("runs"), "Recorded")
    assert (recorded["status"], recorded["reason"]) == ("False", "HistoryUnavailable")
    assert status["result"]["rows"] == 3
    waits = small.submit("succeed", name="waits")
    small.reaches("waits", "Queued")
    always(lambda: not small.observer.pods_of(waits["metadata"]["uid"]), 2.0, what="nothing new starts")
    assert small.observer.pods_of(task["metadata"]["uid"]), "the pod stays until its end is recorded"
    assert condition(small.task("waits"), "Recorded")["status"] == "False"
    until(
        lambda: operator.probe("readyz")[0] == 503, 15, what="the operator is not ready", told=operator.story
    )
    assert operator.metric("querytask_history_errors_total", operation="record") > 0
    _empty(small)
    small.succeeds("waits", timeout=30)
    small.sees(
        lambda: condition(small.task("runs"), "Recorded").get("status") == "True", "the row has followed"
    )
    small.no_pods(task)
    assert small.row(task, "Succeeded")["reason"] == "Completed"
    until(operator.ready, 15, what="the operator is ready again")


def test_a_task_can_be_cancelled_meanwhile(small: Site) -> None:
    """Stopping needs no history: the task ends Cancelled, and its row follows."""
    small.operator()
    task = small.submit("hang", name="stops")
    small.reaches("stops", "Running")
    _fill(small)
    small.cancel("stops")
    small.ends("stops", "Cancelled", "CancelRequested")
    assert condition(small.task("stops"), "Recorded")["status"] == "False"
    _empty(small)
    row = small.row(task, "Cancelled")
    assert row["cancel_step"] == "Interrupted"
    small.no_pods(task)


def test_a_task_that_was_deleted_meanwhile_is_closed_afterwards(small: Site) -> None:
    """The deletion is not forgotten: the row follows."""
    small.operator()
    task = small.submit("hang", name="deleted")
    small.reaches("deleted", "Running")
    _fill(small)
    small.delete("querytasks", "deleted")
    small.no_pods(task)
    _empty(small)
    small.row(task, "Deleted", timeout=30)


def test_an_operator_that_finds_no_usable_history_says_so(site: Site) -> None:
    """A history directory that is not there is a sentence and an exit code, not a traceback."""
    operator = site.operator(ready=False, history_dir=site.folder / "nowhere")
    assert until(lambda: not operator.alive, 30, what="the operator has ended")
    assert operator.process.returncode == 2
    (line,) = operator.said("cannot start")
    assert "nowhere" in line["message"]
    assert "traceback" not in line
    operator.allowed.append("cannot start")


def test_an_operator_that_starts_on_a_read_only_volume_says_so_and_starts_when_it_is_writable(
    small: Site,
) -> None:
    """A sentence and an exit code; tasks wait in the meantime, and run when an operator can start."""
    small.operator().stop()
    small.submit("succeed", name="waits")
    _run("mount", "-o", "remount,ro", str(small.history_dir))
    operator = small.operator(ready=False)
    operator.allowed.append("cannot start")
    until(lambda: not operator.alive, 30, what="the operator has ended", told=operator.story)
    assert operator.process.returncode == 2
    assert operator.said("cannot start.*(writable|read-only|Read-only)"), operator.story()
    _run("mount", "-o", "remount,rw", str(small.history_dir))
    small.operator()
    small.succeeds("waits")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def test_a_locked_history_is_waited_for(sites: Sites) -> None:
    """Another process holds the file for longer than a writer waits: the task ends, and says that it is not
    recorded; the row follows when the other lets go."""
    site = sites()
    site.operator()
    task = site.submit("succeed after=3", name="runs")
    site.reaches("runs", "Running")
    other = dbapi2.connect(site.history_dir / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    site.succeeds("runs")
    assert condition(site.task("runs"), "Recorded")["status"] == "False"
    other.execute("ROLLBACK")
    other.close()
    assert site.row(task, "Succeeded", timeout=30)["reason"] == "Completed"
