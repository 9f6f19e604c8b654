"""Deleting the object: the pods go by ownership, nothing blocks it, and the history keeps how it was."""

from __future__ import annotations

import pytest

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site


def _closed(site: Site, task: Json, phase: str) -> dict[str, object]:
    row = site.row(task, phase)
    assert row["object_deleted_at"] is not None
    assert row["completed_at"] is not None
    return row


def test_a_running_task_that_is_deleted_is_stopped_and_its_row_closed(shared: Site) -> None:
    """The garbage collector ends the pod; the history says Deleted, once nothing runs any more."""
    task = shared.submit("hang stop=0.4", name="deleted")
    shared.reaches("deleted", "Running")
    shared.delete(names.TASK_PLURAL, "deleted")
    shared.no_pods(task)
    _closed(shared, task, "Deleted")
    phases = [step[0] for step in shared.history.transitions(task["metadata"]["uid"])]
    assert phases[-1] == "Deleted"


def test_nothing_holds_the_object_back(shared: Site) -> None:
    """There is no finalizer: the object is gone at once, whatever its worker does."""
    task = shared.submit("stubborn", name="unheld")
    shared.reaches("unheld", "Running")
    assert "finalizers" not in shared.task("unheld")["metadata"]
    shared.delete(names.TASK_PLURAL, "unheld")
    assert shared.get(names.TASK_PLURAL, "unheld") is None
    _closed(shared, task, "Deleted")


def test_a_result_that_was_published_closes_the_row_as_succeeded(shared: Site) -> None:
    """The mailbox tells the end: the worker published while the object went."""
    task = shared.submit("race", name="published-deleted", export={})
    shared.reaches("published-deleted", "Running")
    shared.delete(names.TASK_PLURAL, "published-deleted")
    _closed(shared, task, "Succeeded")
    export = shared.history.export(task["metadata"]["uid"])
    assert export is not None
    assert (shared.exports / export["path"]).exists()


def test_a_task_that_waits_is_deleted_without_a_trace_of_a_pod(sites: Sites) -> None:
    """A queued task's row is closed as Deleted, and the line goes on without it."""
    site = sites(max_running=1)
    site.operator()
    site.submit("hang", name="blocker")
    site.reaches("blocker", "Running")
    task = site.submit("succeed", name="waits")
    site.reaches("waits", "Queued", reason="WaitingForSlot")
    site.delete(names.TASK_PLURAL, "waits")
    _closed(site, task, "Deleted")
    assert site.history.attempts(task["metadata"]["uid"]) == []
    site.cancel("blocker")
    site.submit("succeed", name="next")
    site.succeeds("next")


def test_a_deleted_task_gives_its_slot_back(sites: Sites) -> None:
    """When its pod is gone the next task runs."""
    site = sites(max_running=1)
    site.operator()
    site.submit("hang", name="first")
    site.reaches("first", "Running")
    site.submit("succeed", name="second")
    site.delete(names.TASK_PLURAL, "first")
    site.succeeds("second")


def test_the_same_name_again_is_another_task(shared: Site) -> None:
    """Deleted and created anew in one breath: two uids, two rows, two directories, two pods, no mixture."""
    first = shared.submit("hang", name="phoenix", export={})
    shared.reaches("phoenix", "Running")
    shared.delete(names.TASK_PLURAL, "phoenix")
    second = shared.submit("succeed rows=2", name="phoenix", export={})
    shared.sees(
        lambda: shared.task("phoenix").get("metadata", {}).get("uid") == second["metadata"]["uid"],
        "it is there anew",
    )
    status = shared.succeeds("phoenix")
    assert status["podName"] == names.pod_name(second["metadata"]["uid"], 1)
    _closed(shared, first, "Deleted")
    assert shared.row(second, "Succeeded")["object_deleted_at"] is None
    assert shared.directory(first) != shared.directory(second)


def test_deleted_and_created_anew_while_the_operator_is_away(site: Site) -> None:
    """The operator finds an object of the same name with another uid: it closes the old row, runs the new."""
    operator = site.operator()
    first = site.submit("hang", name="phoenix")
    site.reaches("phoenix", "Running")
    operator.kill()
    site.delete(names.TASK_PLURAL, "phoenix")
    second = site.submit("succeed", name="phoenix")
    site.operator()
    site.sees(
        lambda: site.task("phoenix").get("metadata", {}).get("uid") == second["metadata"]["uid"],
        "the new one",
    )
    site.succeeds("phoenix")
    _closed(site, first, "Deleted")


def test_pods_that_were_orphaned_on_purpose_are_ended(shared: Site) -> None:
    """``--cascade=orphan`` leaves a pod that nobody owns: the operator ends it and closes the row."""
    task = shared.submit("hang", name="orphan")
    shared.reaches("orphan", "Running")
    shared.delete(names.TASK_PLURAL, "orphan", propagationPolicy="Orphan")
    shared.no_pods(task)
    _closed(shared, task, "Deleted")


@pytest.mark.parametrize(("scene", "phase"), [("succeed", "Succeeded"), ("fail", "Failed")])
def test_a_finished_task_that_is_deleted_keeps_its_end(scene: str, phase: str, shared: Site) -> None:
    """The row stands; it only learns that the object is gone."""
    name = f"kept-{scene}"
    task = shared.submit(scene, name=name)
    shared.reaches(name, phase)
    shared.row(task, phase)
    shared.delete(names.TASK_PLURAL, name)
    shared.gone(task)

    def look() -> bool:
        row = shared.history.task(task["metadata"]["uid"])
        return row is not None and row["phase"] == phase and row["object_deleted_at"] is not None

    shared.sees(look, "the history knows", timeout=15)


def test_the_end_of_a_namespace_is_not_held_up(site: Site) -> None:
    """Nothing that the operator runs or makes blocks the deletion of its namespace."""
    site.operator()
    for number in range(3):
        site.submit("hang", name=f"doomed-{number}")
        site.reaches(f"doomed-{number}", "Running")
    site.plane.api.call("DELETE", f"/api/v1/namespaces/{site.namespace}")
    site.sees(lambda: not site.observer.tasks and not site.observer.pods, "everything is gone", timeout=40)
