"""The outermost layer of every request: gives it an id, answers what went wrong, and writes one line of log.

The line has who, what, the answer's status, how long and how much; never a query string, a header or a body,
in which there could be SQL or a token.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from querytask import logs
from querytask.web.problems import answer_to, noted

log = logging.getLogger("querytask.web.access")

REQUEST_ID = "x-request-id"
PATH_CHARACTERS = 300
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class _Told:
    """What the line says of the answer."""

    status: int = 0
    size: int = 0


class Access:
    """Wraps the whole API; ``monotonic`` is a clock in seconds."""

    def __init__(self, app: ASGIApp, monotonic: Callable[[], float]) -> None:
        self._app, self._monotonic = app, monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; nothing is raised but a cancellation."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, told = self._monotonic(), _Told()
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
                _mark(MutableHeaders(scope=message), request_id)
            told.size += len(message.get("body", b""))
            await send(message)

        with logs.bound(request=request_id):
            try:
                await self._answer(scope, receive, sending, told)
            finally:
                self._tell(scope, told, self._monotonic() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, told: _Told) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            refusal = noted(error)
            if told.status == 0:
                await answer_to(refusal, scope["state"]["request_id"])(scope, receive, send)

    def _tell(self, scope: Scope, told: _Told, seconds: float) -> None:
        quiet = scope["path"].startswith("/healthz") and told.status < 400
        facts = {
            "principal": scope["state"].get("principal", ""),
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"][:PATH_CHARACTERS],
            "status": told.status,
            "bytes": told.size,
            "seconds": round(seconds, 4),
        }
        with logs.bound(**facts):
            log.log(logging.DEBUG if quiet else logging.INFO, "%s %s", facts["method"], facts["path"])


def _request_id(headers: Headers) -> str:
    """The caller's own id where it is a plain one, so that its log and ours can be compared."""
    given = headers.get(REQUEST_ID, "")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _mark(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
