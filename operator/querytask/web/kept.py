"""An answer that is kept for a moment, and asked for once however many want it at one time.

For figures that are counted anew each time, and are the same for everybody who may see them at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """One answer, kept for ``seconds`` from when it was asked for. What was raised is not kept."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self, question: Callable[[], Awaitable[T]], now: float) -> T:
        """The answer of ``question``, kept or new; ``now`` is a clock in seconds that never goes back."""
        if self._asked is None or (self._asked.done() and (now >= self._until or _failed(self._asked))):
            self._asked, self._until = asyncio.ensure_future(_call(question)), now + self._seconds
            self._asked.add_done_callback(_failed)  # seen, even where everybody who asked has gone
        # Who gives up waiting must not take the answer from the others.
        return await asyncio.shield(self._asked)


async def _call(question: Callable[[], Awaitable[T]]) -> T:
    return await question()


def _failed(task: asyncio.Task[T]) -> bool:
    return task.cancelled() or task.exception() is not None
