"""Gathers all that can be known of one task into an ``Observed``: cache, API server, mailbox, history.

What matters is never concluded from the cache alone: a pod that is not there, or is said to be gone, is asked
for by name.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from typing import Any

from querytask import errors, names
from querytask.adapters.cluster import Cluster
from querytask.adapters.exports import Damaged, ExportsVolume
from querytask.api import parse
from querytask.api.source import QuerySource
from querytask.api.task import QueryTask
from querytask.core import cancelling, clock, podstate, sourcing
from querytask.core.observed import Mailbox, Memory, Observed, Refusal, SourceState
from querytask.core.podstate import PodState
from querytask.runtime.cache import Cache
from querytask.settings import Settings

log = logging.getLogger(__name__)


class Observer:
    """Looks, and changes nothing."""

    def __init__(self, cluster: Cluster, volume: ExportsVolume, cache: Cache, settings: Settings) -> None:
        self._cluster, self._volume, self._cache, self._settings = cluster, volume, cache, settings

    async def observe(
        self, task: QueryTask, memory: Memory, *, slot: bool, refusal: Refusal | None, now: dt.datetime
    ) -> Observed:
        """The task, seen whole.

        Raises ``errors.ClusterError`` or ``errors.ExportsVolumeError`` when something could not be asked:
        then nothing is concluded.
        """
        first = Observed(
            task=task,
            pods=await self.pods(task.metadata.uid, confirm=not task.finished),
            memory=memory,
            sources=self._sources(task),
            slot=slot,
            refusal=refusal,
        )
        if task.finished:
            return await self._rebuilt(first)
        pods = first.pods
        if first.attempt and first.pod is None:
            pods = (
                *pods,
                *await self._find(names.pod_name(task.metadata.uid, first.attempt), task.metadata.uid),
            )
        seen = dataclasses.replace(first, pods=pods)
        seen = dataclasses.replace(
            seen, mailbox=await self.mailbox(task.metadata.namespace, task.metadata.uid, seen.attempt)
        )
        return dataclasses.replace(
            seen,
            mount_failure=await self._mount_failure(seen, now),
            node_gone=await self._node_gone(seen, now),
        )

    async def _rebuilt(self, o: Observed) -> Observed:
        """A finished task whose end the history does not hold: its mailbox tells what the row is to hold."""
        if o.memory.phase in names.TERMINAL_PHASES:
            return o
        metadata = o.task.metadata
        return dataclasses.replace(o, mailbox=await self.mailbox(metadata.namespace, metadata.uid, o.attempt))

    async def pods(self, uid: str, *, confirm: bool = True, orphans: bool = False) -> tuple[PodState, ...]:
        """The pods that the task of that uid owns; with ``confirm`` those said to be gone are asked for, with
        ``orphans`` those are among them whose owner was taken away when it was deleted."""
        owners = ("", uid) if orphans else (uid,)
        known = [pod for pod in self._cache.pods_of(uid) if pod.owner_uid in owners and _named(pod, uid)]
        if not confirm:
            return tuple(known)
        return tuple([await self._confirm(pod) if pod.gone else pod for pod in known])

    async def mailbox(self, namespace: str, uid: str, attempt: int) -> Mailbox:
        """What the worker has left; what cannot be believed counts as not there, and is said."""
        if attempt == 0:
            return Mailbox()
        found = await self._volume.read(namespace, uid, attempt)
        return Mailbox(_believed(found.manifest), _believed(found.outcome), _believed(found.progress))

    def source(self, name: str) -> QuerySource | None:
        """A source, as the cache has it."""
        raw = self._cache.sources.get(name)
        return None if raw is None else parse.source(raw)

    def _sources(self, task: QueryTask) -> tuple[SourceState, ...]:
        claims = self._cache.claims
        return tuple(
            sourcing.state(name, self.source(name), claims, self._settings) for name in task.spec.sources
        )

    async def _confirm(self, pod: PodState) -> PodState:
        found = await self._find(pod.name, pod.owner_uid)
        return found[0] if found and found[0].uid == pod.uid else pod

    async def _find(self, name: str, owner: str) -> tuple[PodState, ...]:
        try:
            raw = await self._cluster.get_pod(name)
        except errors.NotFound:
            return ()
        if podstate.owner_uid(raw) != owner:
            return ()
        self._cache.put_pod(raw)
        return (podstate.read(raw),)

    async def _node_gone(self, o: Observed, now: dt.datetime) -> bool:
        """Asked only when a stop is overdue and the deletion of its pod has not ended either."""
        pod = o.pod
        if pod is None or pod.ended or not pod.deleting or not pod.node:
            return False
        if not cancelling.overdue(o, now, self._settings):
            return False
        return await self._cluster.node_exists(pod.node) is False

    async def _mount_failure(self, o: Observed, now: dt.datetime) -> str:
        """Asked only when the start deadline is over: it is a list of Events."""
        pod, granted = o.pod, o.granted_at
        if pod is None or pod.ended or pod.started or pod.sandbox_ready or granted is None:
            return ""
        if now < clock.after(granted, self._settings.start_deadline_seconds):
            return ""
        found = [item for item in await self._cluster.pod_events(pod.uid) if _about_volumes(item)]
        return str(found[-1].get("message", "")) if found else ""


def _named(pod: PodState, uid: str) -> bool:
    """Whether the pod has its attempt's name: who may make pods may write any owner and any label."""
    return pod.name == names.pod_name(uid, pod.attempt)


def _about_volumes(event: dict[str, Any]) -> bool:
    return event.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedMapVolume")


def _believed(message: Any) -> Any:
    if isinstance(message, Damaged):
        log.warning("The mailbox holds a message that cannot be believed: %s", message.why)
        return None
    return message
