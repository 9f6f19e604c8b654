"""What the operator in the same pod tells of itself at ``/metrics``: for the API, which has no slots to
count."""

from __future__ import annotations

import re

import aiohttp

SECONDS = 2.0
_SLOTS = re.compile(r'^querytask_slots\{state="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)


class OperatorMetrics:
    """The metrics at ``url``; none where it is empty. Open it on the loop that uses it."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds), trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def slots(self) -> dict[str, int] | None:
        """How many slots are ``held``, are waited for (``waiting``) and there are (``limit``); ``None``
        where the operator does not say."""
        if not self._url:
            return None
        try:
            async with self._session.get(self._url) as answer:
                text = await answer.text()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None
        found = {state: int(float(number)) for state, number in _SLOTS.findall(text)}
        return found if {"held", "waiting", "limit"} <= found.keys() else None

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
