"""The walk over finished tasks asks for one object only where no list had it."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection, Mapping
from types import SimpleNamespace
from typing import Any, cast

from querytask import errors
from querytask.adapters.cluster import UNFINISHED, Cluster
from querytask.adapters.store import Store, TaskKey
from querytask.runtime.finished import FinishedTasks
from querytask.runtime.reconciler import Reconciler

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Objects:
    """A cluster with these tasks by the selector that finds them, and what it was asked for one by one."""

    def __init__(self, **phases: Collection[str]) -> None:
        self.phases, self.asked = phases, list[str]()

    async def list_tasks(self, selector: str, size: int) -> AsyncIterator[list[dict[str, Any]]]:
        for phase, uids in self.phases.items():
            if selector == (UNFINISHED if phase == "Running" else f"status.phase={phase}"):
                yield [{"metadata": {"uid": uid, "name": uid}, "spec": {}, "status": {}} for uid in uids]

    async def get_task(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        raise errors.NotFound(name, 404)


class Rows:
    """A history with these tasks, all of which it takes for present."""

    def __init__(self, *uids: str) -> None:
        self.uids, self.closed = uids, list[str]()

    async def present_tasks(self, namespace: str, after: str, limit: int) -> list[TaskKey]:
        return [TaskKey(namespace, uid, uid) for uid in sorted(self.uids) if uid > after][:limit]

    async def states(self, uids: Collection[str]) -> Mapping[str, Any]:
        return {uid: SimpleNamespace(completed_at=NOW) for uid in uids}

    async def close_deleted(self, uid: str, at: dt.datetime) -> None:
        self.closed.append(uid)


async def test_tasks_that_run_are_not_asked_for_one_by_one():
    """Those that a list has, finished or not, are there; the other one is asked for, and noted."""
    cluster, rows = Objects(Running=["a", "b"], Succeeded=["c"]), Rows("a", "b", "c", "gone")
    walk = FinishedTasks(
        cast(Cluster, cluster), cast(Store, rows), cast(Reconciler, None), "analytics", lambda: NOW
    )
    await walk.walk()
    assert (cluster.asked, rows.closed) == (["gone"], ["gone"])
