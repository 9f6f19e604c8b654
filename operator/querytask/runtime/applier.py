"""Carries a plan out, in the one order in which a crash between any two writes converges: history, mailbox,
cluster, status, Events.

When the history cannot be written, nothing new starts and nothing is deleted, but stops and the status go on,
and the status says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import Any

from querytask import errors
from querytask.adapters.cluster import Cluster
from querytask.adapters.exports import ExportsVolume
from querytask.api.task import QueryTask
from querytask.api.task_status import TaskStatus
from querytask.core import cancelling, events, merge, pods, podstate, status
from querytask.core.observed import Observed, Refusal
from querytask.core.plan import Plan
from querytask.core.podstate import PodState
from querytask.metrics import Metrics
from querytask.names import Phase, Reason
from querytask.runtime import recording
from querytask.runtime.cache import Cache
from querytask.runtime.journal import Ended, Journal
from querytask.runtime.observer import Observer
from querytask.settings import Settings

log = logging.getLogger(__name__)


class Stale(errors.QueryTaskError):
    """What the plan was made from is not true any more: look again, at once."""


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """What came of a plan: the object as it is then, whether the history took the step, and a refusal to
    create the pod."""

    raw: dict[str, Any]
    recorded: bool
    refusal: Refusal | None = None


@contextlib.contextmanager
def _true_already() -> Iterator[None]:
    """The pod is gone, or another has its name: what was wanted is true, and the next look will see it."""
    try:
        yield
    except (errors.NotFound, errors.Conflict) as error:
        log.debug("Nothing was to be done: %s", error)


class Applier:
    """The only place that writes about tasks; ``now`` is the wall clock."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        volume: ExportsVolume,
        cache: Cache,
        observer: Observer,
        settings: Settings,
        metrics: Metrics,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._cluster, self._journal, self._volume, self._cache = cluster, journal, volume, cache
        self._observer, self._settings, self._metrics, self._now = observer, settings, metrics, now

    async def apply(
        self, raw: dict[str, Any], observed: Observed, plan: Plan, *, readable: bool = True
    ) -> Applied:
        """Carry ``plan`` out; a plan that was made when the history was not ``readable`` knows too little to
        be recorded, or to start or delete anything.

        Raises ``Stale`` when the world has moved on, ``errors.QueryTaskError`` when a write failed.
        """
        recorded = readable and await self._record(raw, observed, plan)
        refusal = None
        shown = plan.status
        if recorded:
            if plan.start is not None:
                refusal = await self._start(raw, observed.task, plan.start)
        else:
            shown = self._unrecorded(observed, plan)
        await self._end_pods(observed, plan, recorded)
        if refusal is not None:
            return Applied(raw, recorded, refusal)
        if plan.end is not None and plan.end.phase is not Phase.SUCCEEDED and recorded:
            await self._clear(observed)
        if shown != observed.task.status:
            raw = await self._show(raw, observed, plan, shown)
        if plan.delete_task and recorded:
            await self._delete_task(observed.task)
        return Applied(raw, recorded)

    # history

    async def _record(self, raw: dict[str, Any], observed: Observed, plan: Plan) -> bool:
        try:
            return await self._journal.record(recording.step(raw, observed, plan))
        except Ended as ended:
            raise Stale(str(ended)) from ended

    def _unrecorded(self, observed: Observed, plan: Plan) -> TaskStatus:
        now = self._now()
        if plan.start is None:
            shown = plan.status
        elif observed.task.status.phase is None:
            shown = status.queued(
                observed, now, Reason.WAITING_FOR_SLOT, "waiting for the history to be writable"
            )
        else:
            shown = observed.task.status
        return status.unrecorded(
            observed, shown, now, "the history cannot be written; the row follows when it can"
        )

    # cluster

    async def _start(self, raw: dict[str, Any], task: QueryTask, attempt: int) -> Refusal | None:
        fresh = await self._cluster.get_task(task.metadata.name)
        if fresh["metadata"]["resourceVersion"] != raw["metadata"]["resourceVersion"]:
            self._cache.put_task(fresh)
            raise Stale("the task has changed since it was seen")
        sources = {name: self._observer.source(name) for name in task.spec.sources}
        if lost := [name for name, found in sources.items() if found is None]:
            return self._refused(
                Reason.SOURCE_NOT_FOUND, f'QuerySource "{lost[0]}" must exist; it is not there'
            )
        order = pods.assignment(task, attempt, self._settings)
        await self._volume.prepare(task.metadata.namespace, task.metadata.uid, attempt, order)
        body = pods.pod(
            task, attempt, {name: found for name, found in sources.items() if found}, self._settings
        )
        try:
            self._cache.put_pod(await self._cluster.create_pod(body))
        except errors.AlreadyExists:
            return await self._adopt(body, task.metadata.uid)
        except errors.QuotaExceeded as error:
            return self._refused(
                Reason.QUOTA_EXCEEDED, f"the namespace's quota does not take the pod: {error}"
            )
        except (errors.Forbidden, errors.Invalid) as error:
            return self._refused(Reason.POD_REJECTED, f"the API server does not take the pod: {error}")
        return None

    async def _adopt(self, body: dict[str, Any], uid: str) -> Refusal | None:
        name = body["metadata"]["name"]
        found = await self._cluster.get_pod(name)
        if podstate.owner_uid(found) == uid:
            self._cache.put_pod(found)
            return None
        return self._refused(Reason.NAME_TAKEN, f'another object has the name of the worker\'s pod, "{name}"')

    def _refused(self, reason: Reason, message: str) -> Refusal:
        log.warning("%s", message)
        return Refusal(reason, message, self._now())

    async def _end_pods(self, observed: Observed, plan: Plan, recorded: bool) -> None:
        if plan.stop is not None:
            with _true_already():
                await self._cluster.stop_pod(plan.stop.pod.name, plan.stop.pod.uid, plan.stop.why)
        for pod in plan.delete_pods if recorded else ():
            if observed.task.finished and pod.ended:
                self._cache.expect_gone(pod)
            with _true_already():
                await self._cluster.delete_pod(pod.name, pod.uid)
                self._watchdog(observed, pod, "delete")
        for pod in plan.force_pods if recorded else ():
            with _true_already():
                await self._cluster.delete_pod(pod.name, pod.uid, force=True)
                self._watchdog(observed, pod, "force-delete")
                await self._event(events.forced(observed.task, pod, self._now(), self._settings.pod_name))

    def _watchdog(self, observed: Observed, pod: PodState, action: str) -> None:
        """Say and count what was done about a stop that is overdue; other deletions are daily business."""
        if cancelling.overdue(observed, self._now(), self._settings):
            self._metrics.watchdog_acted(action)
            log.warning("The stop of pod %s is overdue: %s", pod.name, action)

    async def _clear(self, observed: Observed) -> None:
        """An attempt that has published nothing leaves no part of a file behind."""
        metadata = observed.task.metadata
        if observed.attempt and (observed.pod is None or observed.pod.ended):
            await self._volume.remove_partials(metadata.namespace, metadata.uid, observed.attempt)

    async def _delete_task(self, task: QueryTask) -> None:
        try:
            await self._cluster.delete_task(task.metadata.name, task.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            pass  # it is gone, or another task has the name
        else:
            log.info("Deleted the object: its ttlAfterFinished is over")
        await self._journal.object_deleted(task.metadata.uid)

    # status

    async def _show(
        self, raw: dict[str, Any], observed: Observed, plan: Plan, shown: TaskStatus
    ) -> dict[str, Any]:
        metadata = observed.task.metadata
        change = merge.patch(raw.get("status", {}), shown.document())
        if not change:
            return raw
        try:
            raw = await self._cluster.patch_task_status(
                metadata.name, metadata.uid, metadata.resource_version, change
            )
        except errors.Conflict as error:
            raise Stale(f"the task has changed since it was seen: {error}") from error
        self._cache.put_task(raw)
        await self._tell(observed, plan, shown)
        return raw

    async def _tell(self, observed: Observed, plan: Plan, shown: TaskStatus) -> None:
        old, task = observed.task.status, observed.task
        if events.transition(old, shown):
            log.info("%s -> %s: %s: %s", old.phase or "new", shown.phase, shown.reason, shown.message)
            self._measure(plan, shown)
        for event in events.news(task, shown, self._now(), self._settings.pod_name):
            await self._event(event)

    async def _event(self, event: dict[str, Any]) -> None:
        try:
            await self._cluster.create_event(event)
        except errors.ClusterError as error:
            log.warning("The Event of this step could not be written: %s", error)

    def _measure(self, plan: Plan, shown: TaskStatus) -> None:
        if shown.reason is Reason.BACKING_OFF and plan.end is not None:
            self._metrics.retried(plan.end.reason)
        if shown.phase is None or shown.reason is None or not shown.phase.terminal:
            return
        self._metrics.finished(shown.phase, shown.reason)
        told = shown.statistics
        self._metrics.took(
            queue=told.queue_seconds if told else None,
            start=told.start_seconds if told else None,
            run=shown.execution_seconds,
        )
        if told is not None and told.export_seconds is not None:
            self._metrics.exported(told.export_seconds)
