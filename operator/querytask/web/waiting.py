"""Waiting for the first of several things, and leaving nothing behind that still waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first(*things: Coroutine[Any, Any, Any]) -> Any:
    """The result of the first that ends, or what it raises; the others are cancelled. Of several at one
    time, the one named first counts."""
    tasks = [asyncio.ensure_future(thing) for thing in things]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
