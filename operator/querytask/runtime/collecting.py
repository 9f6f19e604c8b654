"""What the collector asks of the cluster, and the one thing that it tells it: that an export has expired."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from querytask import errors
from querytask.adapters.cluster import PASSING_PAGE, Cluster
from querytask.adapters.store import TaskKey
from querytask.core import clock
from querytask.core.collection_facts import LivingTask
from querytask.names import TERMINAL_PHASES, ExportState

log = logging.getLogger(__name__)


class ClusterFacts:
    """The cluster, as the collector sees it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def living_tasks(self) -> Mapping[str, LivingTask] | None:
        """Every task whose object exists, by uid; ``None`` when the API server could not be asked."""
        try:
            return {
                item["metadata"]["uid"]: _living(item.get("status", {}))
                async for page in self._cluster.list_tasks(page=PASSING_PAGE)
                for item in page
            }
        except errors.ClusterError as error:
            log.warning("The collector removes no left-overs now: the API server did not answer: %s", error)
            return None

    async def expired(self, key: TaskKey, at: dt.datetime) -> None:
        """Show on the object, if it is there, that its export is gone; raises ``errors.ClusterError`` to be
        asked again."""
        try:
            raw = await self._cluster.get_task(key.name)
        except errors.NotFound:
            return
        shown = raw.get("status", {}).get("export", {}).get("state")
        if raw["metadata"]["uid"] != key.uid or shown != ExportState.AVAILABLE:
            return
        version = raw["metadata"]["resourceVersion"]
        await self._cluster.patch_task_status(
            key.name, key.uid, version, {"export": {"state": ExportState.EXPIRED}}
        )
        log.info("The export of %s has expired and was removed", key.name)


def _living(status: dict[str, Any]) -> LivingTask:
    completed = status.get("completedAt")
    return LivingTask(
        finished=status.get("phase") in TERMINAL_PHASES,
        attempt=int(status.get("attempt", 0)),
        completed_at=clock.parse(completed) if completed else None,
    )
