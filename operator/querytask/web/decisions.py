"""What the API server said about a caller, kept for a few seconds: so that a page of fifty clicks is not a
hundred questions.

A word is kept for at most the time that is given, under a hash of the token, and a bounded number of them;
those who ask the same at one time share one question. An error is never kept: where the API server cannot be
asked, nobody is let in.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from querytask import errors

T = TypeVar("T")

MOST = 4096
"""How many words are kept."""


def fingerprint(token: str) -> str:
    """What stands for a token in memory and in keys; the token does not follow from it."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Word:
    until: float
    value: Any
    refused: bool


class Decisions:
    """The words; ``monotonic`` is a clock in seconds."""

    def __init__(self, seconds: float, monotonic: Callable[[], float], most: int = MOST) -> None:
        self._seconds, self._monotonic, self._most = seconds, monotonic, most
        self._words: OrderedDict[Hashable, _Word] = OrderedDict()
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}

    async def ask(self, token: str, about: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``question``, kept or new; raises what it raises."""
        key = (fingerprint(token), about)
        word = self._words.get(key)
        if word is not None and word.until > self._monotonic():
            self._words.move_to_end(key)
            if word.refused:
                raise errors.Unauthenticated("the token is not valid", 401)
            if word.until - self._monotonic() < self._seconds / 2:
                # Asked anew beside the answer: whoever calls again and again never waits for it.
                self._asking(key, question)
            return cast(T, word.value)
        # Who gives up waiting must not take the answer from the others.
        return cast(T, await asyncio.shield(self._asking(key, question)))

    def __len__(self) -> int:
        return len(self._words)

    def _asking(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.ensure_future(self._keep(key, question))
            self._asked[key] = asked
            asked.add_done_callback(lambda task: self._done(key, task))
        return asked

    async def _keep(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        started = self._monotonic()
        try:
            value = await question()
        except errors.Unauthenticated:
            self._remember(key, _Word(started + self._seconds, None, refused=True))
            raise
        self._remember(key, _Word(started + self._seconds, value, refused=False))
        return value

    def _remember(self, key: Hashable, word: _Word) -> None:
        self._words[key] = word
        self._words.move_to_end(key)
        while len(self._words) > self._most:
            self._words.popitem(last=False)

    def _done(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._asked.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even where everybody who asked has gone
