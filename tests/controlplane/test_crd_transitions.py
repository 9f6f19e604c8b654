"""The API server's own answer to every change: what stays, what may change, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.harness import ControlPlane
from querytask.api.task_spec import TaskSpec
from querytask.names import Phase
from tests.controlplane.objects import Objects, refused, task

ENDS = ("Succeeded", "Failed", "Cancelled")
FULL: dict[str, Any] = {
    "parameters": [{"name": "p", "type": "INTEGER", "value": "1"}, {"name": "q", "type": "DATE"}],
    "sources": ["a", "b"],
    "owner": "me",
    "export": {"format": "CSV", "fileName": "x", "retention": "1d"},
}
CHANGES: dict[str, Any] = {
    "sql": "SELECT 2",
    "parameters": [{"name": "p", "type": "INTEGER", "value": "2"}, {"name": "q", "type": "DATE"}],
    "sources": ["a"],
    "owner": "you",
    "export": {"format": "CSV", "fileName": "x", "retention": "2d"},
    "preview": {"rows": 21},
    "resources": {"cpu": "2", "memory": "1Gi", "spill": "4Gi"},
    "queueTimeout": "25h",
    "timeout": "31m",
    "retry": {"limit": 3, "backoff": "10s"},
}


@pytest.fixture(scope="module")
def objects(control_plane: ControlPlane) -> Objects:
    """Nothing here needs a namespace of its own: every object gets a name from the server."""
    return Objects(control_plane, "default")


def in_phase(objects: Objects, phase: str | None, **spec: Any) -> dict[str, Any]:
    """A stored task in ``phase``."""
    stored = objects.create(task(**spec))
    return stored if phase is None else objects.with_status(stored, phase=phase, reason="Started", attempt=2)


def test_every_field_is_tried() -> None:
    """A field that is added to the spec must be added to the table below, or to those that may change."""
    assert {to_camel(name) for name in TaskSpec.model_fields} == {
        *CHANGES,
        "cancel",
        "priority",
        "ttlAfterFinished",
    }


def to_camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(map(str.capitalize, tail))


@pytest.mark.parametrize("phase", [None, "Running", "Succeeded"])
@pytest.mark.parametrize("field", CHANGES)
def test_spec_is_fixed(objects: Objects, field: str, phase: str | None) -> None:
    """Whatever has been asked for stays what was asked for, from the first second on."""
    stored = in_phase(objects, phase, **FULL)
    answer = refused(objects.with_spec, stored, **{field: CHANGES[field]})
    assert f"spec.{field}: Forbidden: spec.{field} must not change; create another QueryTask" in answer


@pytest.mark.parametrize("field", FULL)
def test_optional_fields_neither_come_nor_go(objects: Objects, field: str) -> None:
    """A rule on a field alone would not see these two."""
    sentence = f"spec.{field} must not change; create another QueryTask"
    assert sentence in refused(objects.with_spec, objects.create(task(**FULL)), **{field: None})
    assert sentence in refused(objects.with_spec, objects.create(task()), **{field: FULL[field]})


def test_a_default_may_be_written_out(objects: Objects) -> None:
    """Who applies a manifest again with or without the defaults changes nothing."""
    stored = objects.create(task())
    assert objects.with_spec(stored, timeout=None, resources=None, cancel=None)["spec"] == stored["spec"]
    assert objects.with_spec(stored, timeout="30m")["metadata"]["generation"] == 1


@pytest.mark.parametrize("phase", [None, "Queued"])
def test_priority_changes_while_queued(objects: Objects, phase: str | None) -> None:
    """As long as it means something."""
    assert objects.with_spec(in_phase(objects, phase), priority=7)["spec"]["priority"] == 7


@pytest.mark.parametrize("phase", [phase.value for phase in Phase if phase is not Phase.QUEUED])
def test_priority_is_fixed_afterwards(objects: Objects, phase: str) -> None:
    """And no longer."""
    answer = refused(objects.with_spec, in_phase(objects, phase, priority=5), priority=7)
    assert (
        "spec.priority: Forbidden: spec.priority must not change unless status.phase is Queued; "
        f"it must stay 5, for the task is {phase}"
    ) in answer


@pytest.mark.parametrize("phase", [None, *(phase.value for phase in Phase)])
def test_ttl_may_always_change(objects: Objects, phase: str | None) -> None:
    """Come, change and go, also when the task has finished."""
    stored = objects.with_spec(in_phase(objects, phase), ttlAfterFinished="1h")
    stored = objects.with_spec(stored, ttlAfterFinished=7_200)
    assert "ttlAfterFinished" not in objects.with_spec(stored, ttlAfterFinished=None)["spec"]


@pytest.mark.parametrize("phase", [None, "Queued", "Running", "Cancelling"])
def test_cancel_is_taken_until_the_end(objects: Objects, phase: str | None) -> None:
    """And a second time, which changes nothing."""
    stored = objects.with_spec(in_phase(objects, phase), cancel=True)
    assert objects.with_spec(stored, cancel=True)["spec"]["cancel"] is True


@pytest.mark.parametrize("phase", ENDS)
def test_cancel_is_refused_after_the_end(objects: Objects, phase: str) -> None:
    """A finished task cannot be cancelled, and says so."""
    answer = refused(objects.with_spec, in_phase(objects, phase), cancel=True)
    assert (
        f"spec.cancel: Forbidden: spec.cancel must not change once the task has finished; it is {phase}"
        in answer
    )


@pytest.mark.parametrize("phase", [None, *(phase.value for phase in Phase)])
@pytest.mark.parametrize("value", [False, None])
def test_cancel_is_never_taken_back(objects: Objects, phase: str | None, value: bool | None) -> None:
    """Neither set to false nor left out."""
    stored = in_phase(objects, phase, cancel=True)
    assert "spec.cancel must stay true; a cancellation cannot be taken back" in refused(
        objects.with_spec, stored, cancel=value
    )


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("phase", [*(phase.value for phase in Phase), None])
def test_an_end_stays(objects: Objects, end: str, phase: str | None) -> None:
    """Neither another phase nor none, nor a status that is wiped out."""
    stored = in_phase(objects, end)
    status = stored["status"] | {"phase": phase}
    if phase == end:
        assert objects.with_status(stored, **status)["status"]["phase"] == end
        return
    answer = refused(
        objects.with_status, stored, **{key: value for key, value in status.items() if value is not None}
    )
    assert (
        "status.phase: Forbidden: status.phase must not change once it is Succeeded, Failed or Cancelled; "
        f"it must stay {end}"
    ) in answer


def test_an_end_cannot_be_wiped_out(objects: Objects) -> None:
    """An empty status is a changed one."""
    assert "status.phase must not change" in refused(objects.with_status, in_phase(objects, "Failed"))
    stored = in_phase(objects, "Failed")
    del stored["status"]
    assert "status.phase must not change" in refused(objects.replace, stored, "/status")


def test_the_reason_of_an_end_stays(objects: Objects) -> None:
    """The why belongs to the end."""
    stored = in_phase(objects, "Failed")
    status = stored["status"] | {"reason": "Timeout"}
    assert "status.reason must not change once the task has finished; it must stay Started" in refused(
        objects.with_status, stored, **status
    )


def test_what_follows_an_end_may_be_written(objects: Objects) -> None:
    """The file expires, and the history catches up, long after the task has finished."""
    stored = in_phase(objects, "Succeeded")
    condition = {"type": "Recorded", "status": "True", "reason": "Recorded", "message": ""}
    condition["lastTransitionTime"] = "2026-03-01T12:00:00Z"
    status = stored["status"] | {"export": {"state": "Expired"}, "conditions": [condition]}
    assert objects.with_status(stored, **status)["status"] == status


@pytest.mark.parametrize("attempt", [1, None])
def test_attempt_never_falls(objects: Objects, attempt: int | None) -> None:
    """Nor vanishes; it may stay and rise."""
    stored = in_phase(objects, "Running")
    for next_attempt in (2, 3):
        stored = objects.with_status(stored, phase="Queued", attempt=next_attempt)
    status = {"phase": "Queued"} | ({} if attempt is None else {"attempt": attempt})
    assert "status.attempt must not fall; it must be at least 3" in refused(
        objects.with_status, stored, **status
    )


def test_spec_and_status_are_apart(objects: Objects) -> None:
    """Who writes the object cannot write its status, and the other way round."""
    created = objects.create(task() | {"status": {"phase": "Succeeded"}})
    assert "status" not in created
    stored = in_phase(objects, "Running")
    changed = objects.replace(stored | {"status": {"phase": "Failed"}})
    assert changed["status"]["phase"] == "Running"
    ignored = objects.with_status(
        stored | {"spec": stored["spec"] | {"sql": "SELECT 2"}}, phase="Running", attempt=2
    )
    assert ignored["spec"]["sql"] == "SELECT 1"
