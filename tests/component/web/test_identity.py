"""Which task is meant: what the cluster does not answer is no proof that there is none."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.store import StoredTask
from querytask.web import identity
from tests.component.store import builders

UID = "7f2a9a53-6b1e-4a6e-9a39-0f5d0c5f1c11"


def recorded(uid: str, **fields: Any) -> StoredTask:
    """A task of the history."""
    record = dataclasses.replace(builders.task(uid), namespace="analytics", **fields)
    return StoredTask(task=record, sql_hash="a" * 64, normal_hash="b" * 64, updated_at=builders.T0, version=1)


class Store:
    """A history that has never heard of any task, or hears of one after the first question."""

    def __init__(self, later: StoredTask | None = None) -> None:
        self.answers = [None, later]

    async def get(self, uid: str) -> StoredTask | None:
        return self.answers.pop(0)

    async def latest(self, namespace: str, name: str) -> None:
        return None


class Cluster:
    """An API server that answers every question with ``error``."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get_task(self, name: str) -> Any:
        raise self.error

    async def list_tasks(self, selector: str, token: str = "") -> Any:
        raise self.error


async def asked(error: Exception, given: str, later: StoredTask | None = None) -> Any:
    """What the two ways of looking a new task up make of the API server's answer."""
    parts: Any = SimpleNamespace(store=Store(later), settings=SimpleNamespace(namespace="analytics"))
    caller: Any = SimpleNamespace(cluster=Cluster(error))
    look = identity._by_name if ":" in given else identity._by_uid
    return await look(parts, caller, given)


@pytest.mark.parametrize("given", [UID, "analytics:late-flights"])
async def test_an_api_server_that_is_away_has_not_said_that_there_is_no_task(given: str) -> None:
    """Whoever asks for what was submitted just now must not conclude that it is gone."""
    with pytest.raises(errors.Unavailable):
        await asked(errors.Unavailable("it does not answer"), given)


@pytest.mark.parametrize("given", [UID, "analytics:late-flights"])
@pytest.mark.parametrize("error", [errors.NotFound("none"), errors.Forbidden("no")])
async def test_what_is_not_there_or_not_to_be_seen_is_no_task(given: str, error: Exception) -> None:
    assert await asked(error, given) is None


async def test_a_task_that_is_recorded_between_two_questions_is_found() -> None:
    """When the history is asked it is too new, and when the cluster is asked it is new no more."""
    stored = recorded(UID)
    found = await asked(errors.NotFound("none"), UID, stored)
    assert found.stored == stored


def live(uid: str, name: str = "late-flights") -> dict[str, Any]:
    """An object that no operator has looked at."""
    metadata = {"uid": uid, "name": name, "namespace": "analytics"}
    return {"metadata": metadata, "spec": {"sql": "SELECT 1"}}


class Known:
    """A history of one task."""

    def __init__(self, stored: StoredTask) -> None:
        self.stored = stored

    async def get(self, uid: str) -> StoredTask | None:
        return self.stored if uid == self.stored.task.uid else None

    async def latest(self, namespace: str, name: str) -> str:
        return self.stored.task.uid


class Live:
    """An API server that has one object, on the last of several pages of a list."""

    def __init__(self, raw: dict[str, Any] | None, pages: int = 1) -> None:
        self.raw, self.pages = raw, pages

    async def get_task(self, name: str) -> dict[str, Any]:
        if self.raw is None:
            raise errors.NotFound("none", 404)
        return self.raw

    async def list_tasks(self, selector: str, token: str = "") -> dict[str, Any]:
        number = int(token or "1")
        if number < self.pages:
            return {"items": [live(f"other-{number}")], "metadata": {"continue": str(number + 1)}}
        return {"items": [self.raw], "metadata": {}}


@pytest.mark.parametrize("deleted", [None, builders.T0], ids=["unnoticed", "noticed"])
async def test_a_task_that_was_made_anew_is_not_the_old_one(deleted: Any) -> None:
    """The history knows the old one alone, and may not have noticed that its object is gone."""
    parts: Any = SimpleNamespace(
        store=Known(recorded("old", object_deleted_at=deleted)),
        settings=SimpleNamespace(namespace="analytics"),
    )
    caller: Any = SimpleNamespace(cluster=Live(live("new")))
    found = await identity._by_name(parts, caller, "analytics:late-flights")
    assert found is not None
    assert (found.uid, found.stored.task.phase) == ("new", "Queued")


@pytest.mark.parametrize("there", [True, False])
async def test_the_history_tells_what_it_knows_of_a_name(there: bool) -> None:
    """Of the object that has it, and of the newest one where none has."""
    stored = recorded("old")
    parts: Any = SimpleNamespace(store=Known(stored), settings=SimpleNamespace(namespace="analytics"))
    raw = live("old") if there else None
    caller: Any = SimpleNamespace(cluster=Live(raw))
    found = await identity._by_name(parts, caller, "analytics:late-flights")
    assert found == identity.Found(stored, raw)


async def test_a_new_task_is_found_on_any_page() -> None:
    """After a flood of tasks that no operator has looked at."""
    caller: Any = SimpleNamespace(cluster=Live(live(UID), pages=3))
    found = await identity._new_of_uid(caller, UID)
    assert found is not None
    assert found.uid == UID
    assert await identity._new_of_uid(caller, "nobody") is None
