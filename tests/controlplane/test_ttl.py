"""``ttlAfterFinished``: when a finished object goes, and that its history and its file stay."""

from __future__ import annotations

import pytest

from querytask import names
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until


def _gone(site: Site, task: Json) -> dict[str, object]:
    """Wait until the object is gone and the history knows it; the row."""
    site.gone(task)
    uid = task["metadata"]["uid"]

    def look() -> dict[str, object] | None:
        row = site.history.task(uid)
        return row if row is not None and row["object_deleted_at"] is not None else None

    found = until(look, what="the history knows that the object is gone", told=site.story)
    assert found is not None
    return found


@pytest.mark.parametrize(("script", "end"), [("succeed", "Succeeded"), ("fail", "Failed")])
def test_zero_deletes_at_once_and_the_history_stays(script: str, end: str, shared: Site) -> None:
    """The object goes with its end; the row keeps the end, and the exported file is where it was."""
    task = shared.submit(script, name=f"brief-{end.lower()}", ttlAfterFinished="0", export={})
    row = _gone(shared, task)
    assert row["phase"] == end
    export = shared.history.export(task["metadata"]["uid"])
    if end == "Succeeded":
        assert export is not None
        assert (shared.exports / export["path"]).exists()
        assert export["state"] == "Available"


def test_a_task_stays_as_long_as_it_was_told_to(shared: Site) -> None:
    """It is there for its time and goes soon after it."""
    task = shared.submit("succeed", name="stays", ttlAfterFinished="6s")
    shared.succeeds("stays")
    always(lambda: "stays" in shared.observer.tasks, 2.0, what="it is there")
    row = _gone(shared, task)
    assert isinstance(row["object_deleted_at"], int)
    assert isinstance(row["completed_at"], int)
    assert 6000 <= row["object_deleted_at"] - row["completed_at"] < 15_000


def test_a_time_that_is_set_after_the_end_counts(shared: Site) -> None:
    """``ttlAfterFinished`` may come, and change, when the task has finished."""
    task = shared.submit("succeed", name="edited")
    shared.succeeds("edited")
    shared.patch(names.TASK_PLURAL, "edited", {"spec": {"ttlAfterFinished": "1h"}})
    always(lambda: "edited" in shared.observer.tasks, 1.0)
    shared.patch(names.TASK_PLURAL, "edited", {"spec": {"ttlAfterFinished": "0"}})
    _gone(shared, task)


def test_a_time_that_was_taken_back_does_not_count(shared: Site) -> None:
    """Longer is longer, though the history had an earlier time on its index."""
    shared.submit("succeed", name="kept", ttlAfterFinished="4s")
    shared.succeeds("kept")
    shared.patch(names.TASK_PLURAL, "kept", {"spec": {"ttlAfterFinished": "1h"}})
    always(lambda: "kept" in shared.observer.tasks, 6.5, what="it is there")


def test_an_object_without_a_time_stays(shared: Site) -> None:
    """Unset means for ever: under GitOps a deleted object would come back and run again."""
    shared.submit("succeed", name="for-ever")
    shared.succeeds("for-ever")
    always(lambda: "for-ever" in shared.observer.tasks, 2.5, what="it is there")


def test_a_time_that_ran_out_while_nobody_looked_counts(site: Site) -> None:
    """The object goes soon after the operator is back."""
    operator = site.operator()
    task = site.submit("succeed", name="late", ttlAfterFinished="1s")
    site.succeeds("late")
    operator.kill()
    site.operator()
    assert _gone(site, task)["phase"] == "Succeeded"
