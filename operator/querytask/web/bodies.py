"""Bounds of a request's body: what it is, how long it is, and how long it takes.

Before routing, since the framework reads a whole body before any route is asked.
"""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from querytask.web.problems import Code, Refusal


class Bodies:
    """Refuses a body over ``most`` bytes, or one that has not arrived after ``seconds``."""

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self._app, self._most, self._seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise a ``Refusal``."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        self._check_length(headers.get("content-length", ""))
        _check_type(headers)
        await self._app(scope, self._bounded(receive), send)

    def _check_length(self, text: str) -> None:
        if text.isdigit() and int(text) > self._most:
            raise self._too_large(int(text))

    def _bounded(self, receive: Receive) -> Receive:
        size, whole, deadline = 0, False, time.monotonic() + self._seconds

        async def receiving() -> Message:
            nonlocal size, whole
            if whole:  # what comes now is the end of the connection, whenever that is
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise Refusal(
                    Code.REQUEST_TIMEOUT,
                    f"the body must arrive within {self._seconds:g} seconds",
                    headers={"Connection": "close"},
                ) from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self._most:
                raise self._too_large(size)
            return message

        return receiving

    def _too_large(self, size: int) -> Refusal:
        return Refusal(
            Code.BODY_TOO_LARGE,
            f"the body must have at most {self._most} bytes, not {size}",
            field="body",
        )


def _check_type(headers: Headers) -> None:
    """Raise a 415 for a body that does not call itself JSON."""
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    given = headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f'Content-Type must be application/json, not "{given[:100]}"',
            field="Content-Type",
            value=given,
        )
