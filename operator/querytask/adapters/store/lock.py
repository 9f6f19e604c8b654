"""Who may write this history: the one operator that holds the lock on its directory.

For the composition root, which takes the lock before it opens the history. The kernel lets go of it when
the process ends, however it ends; so it cannot be left behind, and a lock that is held means an operator
that lives.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import fcntl
import json
import os
from pathlib import Path

from querytask import errors

FILE_NAME = "operator.lock"


class HistoryLock:
    """The lock on the history in ``directory``; ``holder`` is the name that others are shown, such as the
    pod's."""

    def __init__(self, directory: Path, holder: str) -> None:
        self._path, self._name = directory / FILE_NAME, holder
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether we have it."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock if it is free; false when another holds it. Raises ``StoreUnavailable`` when there
        is no way to ask."""
        if self.held:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660)
        except OSError as error:
            raise self._unavailable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise self._unavailable(error) from error
        self._descriptor = descriptor
        self._sign(descriptor)
        return True

    async def wait(self, poll_seconds: float = 1.0) -> None:
        """Come back when we have the lock, however long another holds it."""
        while not self.acquire():  # noqa: ASYNC110 -- the kernel tells nobody when a lock gets free
            await asyncio.sleep(poll_seconds)

    def holder(self) -> str:
        """Who has the lock, as far as it is told: for a sentence such as "waits for …"."""
        try:
            told = json.loads(self._path.read_bytes()[:4096])
            return f"{told['holder']}, since {told['since']}"
        except (OSError, ValueError, TypeError, KeyError):
            return "an unknown holder"

    def release(self) -> None:
        """Let go; safe to repeat."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _sign(self, descriptor: int) -> None:
        since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = json.dumps({"holder": self._name, "since": since}).encode()
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text, 0)
        except OSError:
            pass  # a full volume: the lock holds without a name on it

    def _unavailable(self, error: OSError) -> errors.StoreUnavailable:
        fault = "Full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "ReadOnly"
        return errors.StoreUnavailable(f"{self._path} must be writable: {error.strerror}", fault)
