"""What the API server said about a caller, kept for a few seconds: so that a page of fifty clicks is not a
hundred questions.

A word is kept for at most the time that is given, under a hash of the token, and a bounded number of them;
those who ask the same at one time share one question. An error is never kept: where the API server cannot be
asked, nobody is let in. Tokens that nobody knows yet are asked about a few at a time, and refusals are kept
apart: whoever invents tokens takes neither the API server nor the words from the others.
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
"""How many words are kept, and how many refusals."""
UNKNOWN = 16
"""How many questions about tokens without a word are under way at one time."""
UNKNOWN_SECONDS = 1.0
"""How long the next one waits for its turn."""


def fingerprint(token: str) -> str:
    """What stands for a token in memory and in keys; the token does not follow from it."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Word:
    until: float
    value: Any


class Decisions:
    """The words; ``monotonic`` is a clock in seconds."""

    def __init__(
        self,
        seconds: float,
        monotonic: Callable[[], float],
        most: int = MOST,
        unknown_seconds: float = UNKNOWN_SECONDS,
    ) -> None:
        self._seconds, self._monotonic, self._most = seconds, monotonic, most
        self._words: OrderedDict[Hashable, _Word] = OrderedDict()
        self._refused: OrderedDict[Hashable, float] = OrderedDict()
        self._unknown, self._unknown_seconds = asyncio.Semaphore(UNKNOWN), unknown_seconds
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}

    async def ask(self, token: str, about: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``question``, kept or new; raises what it raises."""
        key = (fingerprint(token), about)
        if self._refused.get(key, 0.0) > self._monotonic():
            raise errors.Unauthenticated("the token is not valid", 401)
        word = self._words.get(key)
        if word is not None and word.until > self._monotonic():
            self._words.move_to_end(key)
            if word.until - self._monotonic() < self._seconds / 2:
                # Asked anew beside the answer: whoever calls again and again never waits for it.
                self._asking(key, question)
            return cast(T, word.value)
        # Who gives up waiting must not take the answer from the others.
        return cast(T, await asyncio.shield(self._asking(key, question)))

    async def ask_of_stranger(self, token: str, about: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        """``ask`` for a token that may be invented. Raises ``errors.TooManyRequests`` where too many that
        nobody knows are asked about."""

        async def in_turn() -> T:
            try:
                async with asyncio.timeout(self._unknown_seconds):
                    await self._unknown.acquire()
            except TimeoutError:
                sentence = f"at most {UNKNOWN} unknown tokens are looked at at one time"
                raise errors.TooManyRequests(sentence, 429, 1) from None
            try:
                return await question()
            finally:
                self._unknown.release()

        known = (fingerprint(token), about) in self._words
        return await self.ask(token, about, question if known else in_turn)

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
            self._words.pop(key, None)
            _put(self._refused, key, started + self._seconds, self._most)
            raise
        self._refused.pop(key, None)
        _put(self._words, key, _Word(started + self._seconds, value), self._most)
        return value

    def _done(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._asked.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even where everybody who asked has gone


def _put(kept: OrderedDict[Hashable, T], key: Hashable, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
