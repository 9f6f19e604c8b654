"""One event loop in a thread of its own, for whatever has to go on while a test stands still and waits.

The tests themselves are plain functions, because they read as a story; kubelet, observer and proxy live here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
CLOSING_SECONDS = 0.3
"""How long connections may take to say goodbye before the loop ends."""


class LoopThread:
    """A running loop; ``run`` waits for a coroutine, ``start`` does not."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kit", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(_rest())
        self.run(self._loop.shutdown_asyncgens())
        self.run(asyncio.sleep(CLOSING_SECONDS))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 60.0) -> T:
        """Its result; raises what it raises, and ``TimeoutError``."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let it run until it is ended."""
        return self.run(_spawn(work))

    def end(self, *tasks: asyncio.Task[Any]) -> None:
        """Cancel, and wait until each has ended; raises the error of one that had failed."""
        for error in self.run(_ended(tasks)):
            raise error


async def _spawn(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def _rest() -> None:
    """What nobody waits for any more, such as the other end of a connection that a killed process had."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _ended(tasks: tuple[asyncio.Task[Any], ...]) -> list[BaseException]:
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        error
        for error in found
        if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError)
    ]
