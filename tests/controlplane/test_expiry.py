"""Expiry and left-overs: what is removed from the exports volume, when, and who is told."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import time
from pathlib import Path

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until

NOBODY = "00000000-0000-0000-0000-00000000000"


def _expired(site: Site, task: Json) -> None:
    directory = site.directory(task)
    until(lambda: not directory.exists(), 20, what="the files are gone", told=site.story)
    uid = task["metadata"]["uid"]

    def recorded() -> bool:
        export = site.history.export(uid)
        return export is not None and export["state"] == "Expired" and export["removed_at"] is not None

    until(recorded, what="the history knows", told=site.story)


def test_an_export_goes_when_its_time_is_over(shared: Site) -> None:
    """After ``retention`` the file is gone, and status and history say Expired; the task stays Succeeded."""
    task = shared.submit("succeed", name="expires", export={"retention": "2s"})
    status = shared.succeeds("expires")
    file = shared.exports / status["export"]["path"]
    assert file.exists()
    _expired(shared, task)
    shared.sees(
        lambda: shared.task("expires")["status"]["export"]["state"] == "Expired", "the status says so"
    )
    after = shared.task("expires")["status"]
    assert (after["phase"], after["export"]["path"]) == ("Succeeded", status["export"]["path"])
    assert after["conditions"] == status["conditions"]


def test_a_file_outlives_its_object_by_its_own_time(shared: Site) -> None:
    """The object went by ``ttlAfterFinished``; the file goes when its manifest says so, not earlier."""
    task = shared.submit("succeed", name="outlived", export={"retention": "5s"}, ttlAfterFinished="0")
    shared.gone(task)
    assert (shared.directory(task) / "_manifest.json").exists()
    _expired(shared, task)


def test_retention_is_bounded_by_the_operator(sites: Sites) -> None:
    """A task that asks for longer than the operator's maximum gets the maximum."""
    site = sites(max_retention_seconds=2)
    site.operator()
    task = site.submit("succeed", name="greedy", export={"retention": "365d"})
    site.succeeds("greedy")
    _expired(site, task)


def test_what_expired_while_nobody_looked_goes_at_the_start(site: Site) -> None:
    """The start of the operator removes what is due; a file that is gone already is no error."""
    operator = site.operator()
    task = site.submit("succeed", name="late", export={"retention": "1s"})
    gone = site.submit("succeed", name="gone", export={"retention": "1s"})
    for name in ("late", "gone"):
        site.reaches(name, "Succeeded")
        site.row(site.task(name), "Succeeded")
    operator.kill()
    for path in sorted(site.directory(gone).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if site.directory(gone).exists():
        site.directory(gone).rmdir()
    site.operator()
    _expired(site, task)
    _expired(site, gone)


def test_a_result_whose_task_nobody_remembers_goes_by_its_manifest(sites: Sites) -> None:
    """The history was lost and the object deleted: a directory with a manifest is no orphan, and goes when
    its own ``expiresAt`` has come."""
    site = sites(orphan_grace_seconds=1, collect_seconds=60)
    operator = site.operator()
    long = site.submit("succeed", name="long", export={"retention": "1h"})
    brief = site.submit("succeed", name="brief", export={"retention": "1s"})
    for task in (long, brief):
        site.succeeds(task["metadata"]["name"])
    operator.kill()
    for task in (long, brief):
        site.delete(names.TASK_PLURAL, task["metadata"]["name"])
    shutil.rmtree(site.history_dir)
    site.history_dir.mkdir()
    for task in (long, brief):
        for path in (*site.directory(task).rglob("*"), site.directory(task)):
            _age(path)
    expires = json.loads((site.directory(brief) / "_manifest.json").read_text())["expiresAt"]
    until(lambda: dt.datetime.now(dt.UTC) > dt.datetime.fromisoformat(expires), what="its time has come")
    site.operator()
    until(lambda: not site.directory(brief).exists(), 20, what="what has expired is gone", told=site.story)
    assert (site.directory(long) / "_manifest.json").exists()


def test_a_directory_that_belongs_to_nobody_goes_after_the_grace(sites: Sites) -> None:
    """Without a manifest, and unknown to cluster and history, it goes; a young one and one of a living task
    stay."""
    site = sites(orphan_grace_seconds=60)
    old, young = (_directory(site, number) for number in (1, 2))
    for path in (old / "1" / "export.partial", old / "1", old):
        _age(path)
    living = site.submit("hang", name="lives")
    site.operator()
    site.reaches("lives", "Running")
    until(lambda: not old.exists(), 20, what="the orphan is gone", told=site.story)
    always(young.exists, 1.5, what="the young one stays")
    assert site.directory(living).exists()
    site.cancel("lives")
    site.reaches("lives", "Cancelled")


def test_links_are_never_followed_out_of_the_volume(sites: Sites) -> None:
    """A worker may leave what it likes: a link out of its directory is removed as a link, and what it points
    at stays."""
    site = sites(orphan_grace_seconds=1)
    outside = site.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("stays")
    task = site.submit("succeed retention=3", name="linked", export={"retention": "3s"})
    operator = site.operator()
    site.succeeds("linked")
    (site.directory(task) / "1" / "trap").symlink_to(outside)
    (site.directory(task) / "trap").symlink_to(outside / "precious")
    _expired(site, task)
    assert (outside / "precious").read_text() == "stays"
    assert operator.metric("querytask_collector_removals_total", kind="Expired") == 1


def _directory(site: Site, number: int) -> Path:
    attempt = site.exports / site.namespace / f"{NOBODY}{number}" / "1"
    attempt.mkdir(parents=True)
    (attempt / "export.partial").write_bytes(b"x" * 100)
    return attempt.parent


def _age(path: Path) -> None:
    old = time.time() - 7200
    os.utime(path, (old, old), follow_symlinks=False)
