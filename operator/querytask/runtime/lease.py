"""One operator at a time: a Lease of a fixed name that the running one renews and a second one waits for.

The StatefulSet promises one pod of one release; the lease holds off a second release in the same namespace,
and the lock on the history volume a second process on the same files. A lease that was lost ends the process:
better no operator than two.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from typing import Any, Protocol

from querytask import errors, names
from querytask.core import clock

log = logging.getLogger(__name__)
MICRO = "%Y-%m-%dT%H:%M:%S.%fZ"


class LeaseCalls(Protocol):
    """What is asked of the API server here."""

    async def get_lease(self, name: str) -> dict[str, Any]: ...
    async def create_lease(self, body: dict[str, Any]) -> dict[str, Any]: ...
    async def replace_lease(self, body: dict[str, Any]) -> dict[str, Any]: ...


class LeaseLost(errors.QueryTaskError):
    """Another operator holds the lease, or it could not be renewed in time."""


class Lease:
    """The lease of one operator; ``holder`` is unique to this process, ``now`` the wall clock."""

    def __init__(
        self,
        calls: LeaseCalls,
        holder: str,
        seconds: int,
        now: Callable[[], dt.datetime],
        tell: Callable[[str], object] = lambda why: None,
    ) -> None:
        self._calls, self._holder, self._seconds, self._now = calls, holder, seconds, now
        self._tell = tell
        self._seen: tuple[str, dt.datetime] | None = None
        self._taken = False
        self.held = asyncio.Event()
        """Set while the lease is ours: nobody may reconcile without it."""
        self.blocker = "it has not been asked for yet"
        """Why this operator does not hold the lease; empty when it does."""

    async def acquire(self) -> None:
        """Wait until the lease is ours, saying for whom it waits."""
        while not await self._try():  # noqa: ASYNC110 - the lease is another process's
            await asyncio.sleep(min(2.0, self._seconds / 3))

    async def keep(self) -> None:
        """Renew for ever; raises ``LeaseLost`` when another holds it, or when no renewal worked for its whole
        duration."""
        renewed = self._now()
        while True:
            await asyncio.sleep(self._seconds / 3)
            if await self._try():
                renewed = self._now()
            elif self._taken:
                self.held.clear()
                raise LeaseLost(f"the lease {names.LEASE_NAME} is lost: {self.blocker}")
            elif self.held.is_set() and clock.seconds_between(renewed, self._now()) > self._seconds:
                log.warning("The lease could not be renewed in time; the work waits: %s", self.blocker)
                self.held.clear()

    async def release(self) -> None:
        """Let the next operator have it at once; a failure only makes it wait."""
        try:
            lease = await self._calls.get_lease(names.LEASE_NAME)
            if lease["spec"].get("holderIdentity") == self._holder:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._calls.replace_lease(lease)
        except errors.ClusterError as error:
            log.info(
                "The lease could not be released; the next operator waits until it has run out: %s", error
            )

    async def _try(self) -> bool:
        try:
            blocker = await self._claim()
            self._taken = bool(blocker)
        except errors.ClusterError as error:
            self._taken = False
            blocker = f"the API server did not answer: {error}"
        if blocker and blocker != self.blocker:
            log.warning("Waiting for the lease %s: %s", names.LEASE_NAME, blocker)
        self.blocker = blocker
        if not blocker:
            self.held.set()
        self._tell(blocker)
        return not blocker

    async def _claim(self) -> str:
        try:
            lease = await self._calls.get_lease(names.LEASE_NAME)
        except errors.NotFound:
            try:
                await self._calls.create_lease(
                    {"metadata": {"name": names.LEASE_NAME}, "spec": self._spec(0)}
                )
                return ""
            except errors.Conflict:
                return "another operator has just created it"
        spec = lease.get("spec", {})
        if (other := spec.get("holderIdentity", "")) not in ("", self._holder) and not self._stale(spec):
            return f"it is held by {other}"
        fresh = other != self._holder
        lease["spec"] = self._spec(
            int(spec.get("leaseTransitions", 0)) + fresh, None if fresh else spec.get("acquireTime")
        )
        try:
            await self._calls.replace_lease(lease)
        except errors.Conflict:
            return "another operator has just taken it"
        return ""

    def _stale(self, spec: dict[str, Any]) -> bool:
        """Not renewed for its duration, by our own clock since we first saw this renewal: clocks of two nodes
        differ."""
        renewal = str(spec.get("renewTime", ""))
        if self._seen is None or self._seen[0] != renewal:
            self._seen = (renewal, self._now())
            return False
        return clock.seconds_between(self._seen[1], self._now()) > int(
            spec.get("leaseDurationSeconds", self._seconds)
        )

    def _spec(self, transitions: int, acquired: str | None = None) -> dict[str, Any]:
        now = self._now().astimezone(dt.UTC).strftime(MICRO)
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": self._seconds,
            "acquireTime": acquired or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
