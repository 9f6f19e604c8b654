"""Who has cancelled a task, as its field managers tell."""

from __future__ import annotations

from typing import Any

from querytask.core import managers
from tests import builders as make


def entry(manager: str, time: str, *fields: str) -> dict[str, Any]:
    owned: dict[str, Any] = {f"f:{field}": {} for field in fields}
    return {"manager": manager, "time": time, "fieldsV1": {"f:spec": owned}}


def raw(*entries: dict[str, Any], cancel: bool = True) -> dict[str, Any]:
    return make.raw_task(spec={"cancel": cancel}, metadata={"managedFields": list(entries)})


MAKER = entry("kubectl-create", "2026-11-22T11:00:00Z", "sql", "cancel")
PATCHER = entry("kubectl-patch", "2026-11-22T11:30:00Z", "cancel")
OPERATOR = entry("querytask-operator", "2026-11-22T11:45:00Z")


def test_the_last_who_owns_the_field():
    """A field may have had several managers; the latest has set it."""
    assert managers.of_cancel(raw(PATCHER, MAKER, OPERATOR)) == "kubectl-patch"
    assert managers.of_cancel(raw(OPERATOR)) is None
    assert managers.of_cancel(make.raw_task(spec={"cancel": True})) is None
    assert managers.of_cancel(raw(PATCHER, cancel=False)) is None, "it was not cancelled"


def test_what_is_kept_is_enough():
    """The rest of the managed fields is larger than many a task."""
    task = raw(PATCHER, MAKER, OPERATOR)
    managers.trim(task)
    assert task["metadata"]["managedFields"] == [PATCHER]
    assert managers.of_cancel(task) == "kubectl-patch"
    waiting = raw(MAKER, cancel=False)
    managers.trim(waiting)
    assert "managedFields" not in waiting["metadata"]
