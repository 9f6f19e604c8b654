"""Closes the rows of tasks whose object is gone: with the end that the mailbox tells, else as ``Deleted``.

The garbage collector stops the pods of a deleted task, and a worker may publish until it has ended; so the
row is closed only when no pod of the task is left running. A pod that nobody stops, because its owner was
deleted with ``--cascade=orphan``, is deleted here.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable

from querytask import errors, names
from querytask.adapters.cluster import Cluster
from querytask.adapters.store import Ending, Store
from querytask.core import conclusion, podstate
from querytask.core.observed import Mailbox
from querytask.core.podstate import PodState
from querytask.names import Phase
from querytask.runtime import recording
from querytask.runtime.cache import Cache, task_uid
from querytask.runtime.observer import Observer
from querytask_worker.contract import ExitCode

log = logging.getLogger(__name__)
WAIT = 2.0
"""Seconds until a row whose pods still run is looked at again."""


class Closer:
    """Closes rows; ``now`` is the wall clock."""

    def __init__(
        self, cluster: Cluster, store: Store, cache: Cache, observer: Observer, now: Callable[[], dt.datetime]
    ) -> None:
        self._cluster, self._store, self._cache, self._observer, self._now = (
            cluster,
            store,
            cache,
            observer,
            now,
        )

    async def close(self, namespace: str, uid: str) -> float | None:
        """Close the row of ``uid``; seconds until it is to be tried again, ``None`` when it is closed."""
        stored = await self._store.get(uid)
        if stored is None:
            return None
        pods = await self._observer.pods(uid, orphans=True)
        attempt = max(
            stored.task.attempt,
            *(pod.attempt for pod in pods),
            *(item.attempt for item in stored.attempts),
            0,
        )
        if any(not pod.ended for pod in pods) or await self._unseen(uid, attempt, pods):
            await self._delete([pod for pod in pods if not pod.ended and not pod.deleting])
            return WAIT
        mailbox = await self._observer.mailbox(namespace, uid, attempt)
        ending = self._ending(namespace, uid, mailbox)
        closed = await self._store.close_deleted(uid, self._now(), ending)
        await self._delete([pod for pod in pods if not pod.gone and not pod.owner_uid])
        self._cache.forget_pods(uid, [pod.name for pod in pods if pod.gone])
        if closed is not None:
            log.info("The object was deleted; the history has the task as %s", closed.task.phase)
        return None

    async def _unseen(self, uid: str, attempt: int, pods: tuple[PodState, ...]) -> bool:
        """Whether the last attempt's pod is there though the cache does not know it."""
        if attempt == 0 or any(pod.attempt == attempt for pod in pods):
            return False
        try:
            found = await self._cluster.get_pod(names.pod_name(uid, attempt))
        except errors.NotFound:
            return False
        if podstate.owner_uid(found) not in ("", uid) or task_uid(found) != uid:
            return False  # another's, which has taken the name
        self._cache.put_pod(found)
        return True

    async def _delete(self, pods: list[PodState]) -> None:
        for pod in pods:
            try:
                await self._cluster.delete_pod(pod.name, pod.uid)
            except (errors.NotFound, errors.Conflict):
                continue

    def _ending(self, namespace: str, uid: str, mailbox: Mailbox) -> Ending:
        if mailbox.manifest is not None:
            return recording.ending(namespace, uid, conclusion.published(mailbox.manifest))
        outcome = mailbox.outcome
        if outcome is None or outcome.exit_code in (ExitCode.STOPPED, ExitCode.COMPLETED):
            return Ending()
        gone = PodState(
            name="", uid="", owner_uid=uid, attempt=outcome.attempt, created_at=self._now(), gone=True
        )
        end = conclusion.of_attempt(outcome, gone, conclusion.Asked(cancel=False, timeout=False))
        return recording.ending(namespace, uid, end) if end.phase is Phase.FAILED else Ending()
