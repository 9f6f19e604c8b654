"""A key makes one task, wherever the program is killed: every place between two writes, tried with a real
history and a cluster that keeps what it was given."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from querytask import errors, names
from querytask.adapters.caller import Principal
from querytask.adapters.store import Store, TaskRecord, open_history
from querytask.web import idempotency
from querytask.web.callers import Caller
from querytask.web.parts import Parts
from querytask.web.problems import Code, Refusal

BODY = {"metadata": {"generateName": "query-"}, "spec": {"sql": "SELECT 1"}}
T0 = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


class Crash(BaseException):
    """The program ends here."""


class Cluster:
    """Objects by name; ``crash`` says when the next create is the last thing that happens."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []
        self.crash, self.refusal = "", cast("errors.ClusterError | None", None)

    async def create_task(self, body: dict[str, Any], *, manager: str = "") -> dict[str, Any]:
        crash, self.crash = self.crash, ""
        if crash == "before":
            raise Crash
        if self.refusal is not None:
            raise self.refusal
        metadata = body["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{len(self.made)}"
        if name in self.objects:
            raise errors.AlreadyExists(f"{name} is there", 409)
        uid = f"uid-{len(self.made)}"
        self.objects[name] = body | {"metadata": metadata | {"name": name, "uid": uid}}
        self.made.append(uid)
        if crash == "after":
            raise Crash
        if crash == "silent":
            raise errors.Unavailable("no answer")
        return self.objects[name]

    async def get_task(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise errors.NotFound(name, 404)
        return self.objects[name]


@dataclasses.dataclass
class World:
    """A caller of an API with a history and a cluster."""

    store: Store
    cluster: Cluster
    now: dt.datetime = T0

    async def ask(self, key: str | None = "k", body: dict[str, Any] = BODY, who: str = "alice") -> str:
        """Create; the uid of the task."""
        parts = SimpleNamespace(
            store=self.store, settings=SimpleNamespace(namespace="x"), clock=lambda: self.now
        )
        caller = SimpleNamespace(cluster=self.cluster, principal=Principal(who))
        made = await idempotency.create(cast(Parts, parts), cast(Caller, caller), "create", body, key)
        return made.stored.task.uid if made.stored else str((made.raw or {})["metadata"]["uid"])

    async def record(self, uid: str) -> None:
        """What the operator writes when it sees the object."""
        ((name, raw),) = [item for item in self.cluster.objects.items() if item[1]["metadata"]["uid"] == uid]
        metadata = {"labels": raw["metadata"].get("labels", {})}
        record = TaskRecord(
            uid=uid, namespace="x", name=name, created_at=self.now, phase="Queued", metadata=metadata
        )
        await self.store.record(record)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await open_history(tmp_path)
    yield World(store, Cluster())
    await store.close()


async def crash(world: World, where: str) -> None:
    """Ask, and be killed there."""
    world.cluster.crash = where
    with pytest.raises(Crash):
        await world.ask()


async def test_without_a_key_each_request_makes_a_task(world: World):
    """Nothing is promised."""
    assert await world.ask(None) != await world.ask(None)


async def test_the_same_key_makes_one(world: World):
    """However often."""
    assert {await world.ask() for _ in range(3)} == {"uid-0"}
    assert world.cluster.made == ["uid-0"]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_killed_beside_the_create(world: World, where: str):
    """The next try makes the object, or finds it."""
    await crash(world, where)
    assert await world.ask() == await world.ask() == "uid-0"
    assert world.cluster.made == ["uid-0"]


async def test_killed_twice(world: World):
    """Still one."""
    for where in ("before", "before", "after"):
        await crash(world, where)
    assert await world.ask() == "uid-0"
    assert world.cluster.made == ["uid-0"]


async def test_no_answer_is_no_refusal(world: World):
    """Nobody knows whether the object is there, so the key is kept, and leads to it."""
    world.cluster.crash = "silent"
    with pytest.raises(errors.Unavailable):
        await world.ask()
    assert await world.ask() == "uid-0"
    assert world.cluster.made == ["uid-0"]


async def test_no_answer_and_the_object_deleted_since(world: World):
    """The key was kept, so it is known that there may have been one."""
    world.cluster.crash = "silent"
    with pytest.raises(errors.Unavailable):
        await world.ask()
    await world.record("uid-0")
    world.cluster.objects.clear()
    world.now += dt.timedelta(seconds=1)
    assert await world.ask() == "uid-0"
    assert world.cluster.made == ["uid-0"]


async def test_killed_and_the_object_deleted_since(world: World):
    """The history remembers that it was made: it does not run twice."""
    await crash(world, "after")
    await world.record("uid-0")
    world.cluster.objects.clear()
    world.now += dt.timedelta(seconds=1)
    assert await world.ask() == "uid-0"
    assert world.cluster.made == ["uid-0"]


async def test_a_restored_history_without_the_row(world: World, tmp_path: Path):
    """The label of the object tells whose it is."""
    await world.ask()
    (tmp_path / "older").mkdir()
    older = World(await open_history(tmp_path / "older"), world.cluster)
    with pytest.raises(Refusal) as caught:
        await older.ask(body=BODY | {"spec": {"sql": "SELECT 2"}})
    assert caught.value.code is Code.KEY_REUSED
    assert await older.ask() == "uid-0"
    assert world.cluster.made == ["uid-0"]
    await older.store.close()


async def test_another_body_is_refused(world: World):
    """Whether or not the first one had come to an end."""
    await crash(world, "before")
    other = BODY | {"spec": {"sql": "SELECT 2"}}
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await world.ask(body=other)
        assert caught.value.code is Code.KEY_REUSED
        await world.ask()


async def test_callers_have_keys_of_their_own(world: World):
    """The same word of two people is two keys."""
    assert await world.ask() != await world.ask(who="bob")


async def test_a_refusal_gives_the_key_back(world: World):
    """What was refused made nothing, so the mended request may have the key."""
    world.cluster.refusal = errors.Invalid("no", 422)
    with pytest.raises(errors.Invalid):
        await world.ask()
    world.cluster.refusal = None
    assert await world.ask(body=BODY | {"spec": {"sql": "SELECT 2"}}) == "uid-0"


async def test_what_cannot_be_made_into_an_object_does_not_use_its_key_up(world: World):
    """It has never come as far as the cluster, so the mended request may have the key."""
    broken = BODY | {"metadata": {"generateName": "query-", "labels": ["none"]}}
    with pytest.raises(TypeError):
        await world.ask(body=broken)
    assert await world.ask() == "uid-0"


async def test_after_its_time_a_key_is_new_once_the_object_is_gone(world: World):
    """While it is there it is still that one's."""
    await world.ask()
    world.now += idempotency.KEPT
    assert await world.ask() == "uid-0"
    world.cluster.objects.clear()
    world.now += idempotency.KEPT
    assert await world.ask() == "uid-1"


async def test_a_name_that_somebody_else_has(world: World):
    """Is not taken over, and the key is free again."""
    named = BODY | {"metadata": {"name": "report"}}
    world.cluster.objects["report"] = {"metadata": {"name": "report", "uid": "theirs"}}
    with pytest.raises(errors.AlreadyExists):
        await world.ask(body=named)
    assert await world.ask() == "uid-0"


async def test_the_label_is_one_that_kubernetes_takes(world: World):
    """At most 63 characters, and nothing of the key or the caller in it."""
    await world.ask("a-secret")
    (raw,) = world.cluster.objects.values()
    label = raw["metadata"]["labels"][names.REQUEST_LABEL]
    assert len(label) <= 63
    assert "secret" not in label


@pytest.mark.parametrize(
    ("username", "shown"),
    [
        ("alice", "querytask-api:alice"),
        ("x" * 200, "querytask-api:" + "x" * 114),
        ("a\nb", "querytask-api:a?b"),
        ("é" * 100, "querytask-api:" + "é" * 57),
    ],
)
def test_the_manager_is_one_that_kubernetes_takes(username: str, shown: str):
    """At most 128 bytes, all of them printable."""
    caller = SimpleNamespace(principal=Principal(username))
    assert idempotency.manager(cast(Caller, caller)) == shown
