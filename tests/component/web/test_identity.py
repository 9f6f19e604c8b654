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

    async def list_tasks(self, selector: str, limit: int) -> Any:
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
    record = dataclasses.replace(builders.task(UID), namespace="analytics")
    stored = StoredTask(
        task=record, sql_hash="a" * 64, normal_hash="b" * 64, updated_at=builders.T0, version=1
    )
    found = await asked(errors.NotFound("none"), UID, stored)
    assert found.stored == stored
