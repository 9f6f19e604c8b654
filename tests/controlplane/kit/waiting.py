"""Waiting for a condition, for as long as it takes and no longer; never a bare sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.03


def until(
    look: Callable[[], T], timeout: float = 15.0, *, what: str = "", told: Callable[[], str] = lambda: ""
) -> T:
    """The first true answer of ``look``.

    Fails after ``timeout`` seconds, saying ``what`` was waited for, the last answer, and what ``told`` tells.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            wanted = what or getattr(look, "__name__", "the condition")
            raise AssertionError(f"not within {timeout:g} s: {wanted}; last seen: {answer!r}\n{told()}")
        time.sleep(POLL_SECONDS)


def always(look: Callable[[], object], seconds: float, *, what: str = "") -> None:
    """Fail when ``look`` is false at any time within ``seconds``: for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look(), f"not for {seconds:g} s: {what or getattr(look, '__name__', 'the condition')}"
        time.sleep(POLL_SECONDS)
