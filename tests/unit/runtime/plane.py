"""A reconciler with a real history and a real exports volume, and an API server of a few dictionaries.

For what needs a history that refuses, or a cache that lags behind, at one exact moment. Everything that a
real API server decides for itself is proven against one, in ``tests/controlplane``.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from querytask import errors, names
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import Store, open_history
from querytask.metrics import Metrics
from querytask.runtime.applier import Applier, Stale
from querytask.runtime.cache import Cache, Key
from querytask.runtime.closing import Closer
from querytask.runtime.journal import Journal
from querytask.runtime.observer import Observer
from querytask.runtime.reconciler import Reconciler
from querytask.runtime.slots import Slots
from tests import builders as make

KEY = Key(names.TASK_KIND, make.NAMESPACE, make.NAME)
Raw = dict[str, Any]


class Api:
    """Tasks, pods and Events by name; versions grow with every write."""

    def __init__(self) -> None:
        self.tasks: dict[str, Raw] = {}
        self.pods: dict[str, Raw] = {}
        self.events: list[str] = []
        self.version = 1000

    def put(self, kind: dict[str, Raw], item: Raw) -> Raw:
        """Store a new version."""
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        kind[item["metadata"]["name"]] = item
        return copy.deepcopy(item)

    async def get_task(self, name: str) -> Raw:
        return self._get(self.tasks, name)

    async def get_pod(self, name: str) -> Raw:
        return self._get(self.pods, name)

    def _get(self, kind: dict[str, Raw], name: str) -> Raw:
        if name not in kind:
            raise errors.NotFound(name)
        return copy.deepcopy(kind[name])

    async def patch_task_status(self, name: str, uid: str, version: str, status: Raw) -> Raw:
        task = self._get(self.tasks, name)
        if (task["metadata"]["uid"], task["metadata"]["resourceVersion"]) != (uid, version):
            raise errors.Conflict("another has written since")
        merged = task.get("status", {}) | status
        task["status"] = {key: value for key, value in merged.items() if value is not None}
        return self.put(self.tasks, task)

    async def create_pod(self, body: Raw) -> Raw:
        if body["metadata"]["name"] in self.pods:
            raise errors.AlreadyExists(body["metadata"]["name"])
        pod = copy.deepcopy(body)
        uid = f"uid-of-{body['metadata']['name']}"
        pod["metadata"] |= {"uid": uid, "creationTimestamp": make.text(make.NOW)}
        return self.put(self.pods, pod | {"status": {"phase": "Pending"}})

    async def delete_pod(self, name: str, uid: str, *, force: bool = False) -> None:
        if self._get(self.pods, name)["metadata"]["uid"] != uid:
            raise errors.Conflict("another uid")
        del self.pods[name]

    async def create_event(self, body: Raw) -> None:
        self.events.append(body["reason"])


class History:
    """A real history that can be made to refuse."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unreadable = self.unwritable = False

    async def get(self, uid: str) -> Any:
        if self.unreadable:
            raise errors.StoreUnavailable("it cannot be read")
        return await self._store.get(uid)

    async def record(self, *parts: Any) -> Any:
        if self.unwritable:
            raise errors.StoreUnavailable("it is full", "Full")
        return await self._store.record(*parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Plane:
    """Everything that reconciles one task."""

    def __init__(self, store: Store, volume: ExportsVolume) -> None:
        self.api, self.history, self.volume = Api(), History(store), volume
        self.cache, self.slots = Cache(make.NAMESPACE), Slots(5, lambda uid: None)
        self.slots.open()
        self.queue: list[Key] = []
        self.now = make.NOW
        api: Any = self.api
        history: Any = self.history
        cache, settings = self.cache, make.settings()
        self.observer = Observer(api, volume, cache, settings)
        self.journal = Journal(history, Metrics(), self.clock)
        self.applier = Applier(
            api, self.journal, volume, cache, self.observer, settings, Metrics(), self.clock
        )
        self.reconciler = Reconciler(
            api,
            self.journal,
            cache,
            self.slots,
            self.observer,
            self.applier,
            Closer(api, history, cache, self.observer, self.clock),
            settings,
            self.queue.append,
            self.clock,
        )

    def clock(self) -> dt.datetime:
        """The wall clock."""
        return self.now

    async def look(self) -> float | None:
        """One reconcile of the task, and another one where the first found the cache to be stale."""
        try:
            return await self.reconciler.reconcile(KEY)
        except Stale:
            self.reconciler.ask(KEY)
            return await self.reconciler.reconcile(KEY)

    def create(self, uid: str = make.UID, **spec: Any) -> None:
        """Somebody creates the task, and its event arrives."""
        raw = make.raw_task(spec=spec, metadata={"uid": uid})
        self.cache.put_task(self.api.put(self.api.tasks, raw))

    def delete(self) -> None:
        """Somebody deletes the task, and its event arrives."""
        self.api.tasks.pop(make.NAME)
        self.cache.drop_task(make.NAME)

    def pod(self, uid: str = make.UID, attempt: int = 1, **container: Any) -> None:
        """The kubelet tells of the container."""
        pod = self.api.pods[names.pod_name(uid, attempt)]
        pod["spec"]["nodeName"] = "node-a"
        pod["status"] |= {
            "phase": "Failed" if "terminated" in container else "Running",
            "containerStatuses": [{"name": "worker", "state": container}],
        }
        self.cache.put_pod(self.api.put(self.api.pods, pod))

    def runs(self, uid: str = make.UID) -> None:
        """The container runs."""
        self.pod(uid, running={"startedAt": make.text(make.ago(5))})

    def ends(self, uid: str = make.UID, code: int = 0) -> None:
        """The container ends."""
        times = {"startedAt": make.text(make.ago(5)), "finishedAt": make.text(make.ago(2))}
        self.pod(uid, terminated={"exitCode": code, "reason": "Error", **times})

    def vanishes(self, uid: str = make.UID) -> None:
        """The pod goes, and its event arrives."""
        pod = self.api.pods.pop(names.pod_name(uid, 1))
        self.version(pod)
        self.cache.drop_pod(pod)

    def version(self, item: Raw) -> None:
        """A later version."""
        self.api.version += 1
        item["metadata"]["resourceVersion"] = str(self.api.version)

    @property
    def status(self) -> Any:
        """What the object shows."""
        return self.api.tasks[make.NAME].get("status", {})


async def plane(folder: Path) -> AsyncIterator[Plane]:
    """A plane in ``folder``, closed at the end."""
    (folder / "history").mkdir()
    (folder / "exports").mkdir()
    store, volume = await open_history(folder / "history"), ExportsVolume(folder / "exports")
    yield Plane(store, volume)
    await store.close()
    volume.close()
