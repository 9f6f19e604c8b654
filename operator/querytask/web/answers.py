"""Makes HTTP answers of views: JSON by pydantic's own writer, with an ETag where a client may ask again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

JSON = "application/json"


def answer(view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The view as JSON."""
    return Response(written(view), status, dict(headers or {}), JSON)


def pieces(texts: Sequence[bytes], media_type: str = JSON) -> Response:
    """A long answer that is sent piece by piece, as the client takes it: as a whole it would be there three
    more times, for the protocol, for TLS and for the socket."""

    async def each() -> AsyncIterator[bytes]:
        for text in texts:
            yield text

    headers = {"Content-Length": str(sum(map(len, texts)))}
    return StreamingResponse(each(), 200, headers, media_type)


def written(view: BaseModel) -> bytes:
    """The JSON of a view; past the framework, which would check it once more."""
    return view.__pydantic_serializer__.to_json(view)


def tagged(request: Request, body: bytes, media_type: str = JSON) -> Response:
    """The body with its ETag; 304 without it where the client has it."""
    tag = etag(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)


def etag(body: bytes) -> str:
    """The ETag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(request: Request, tag: str) -> bool:
    """Whether ``If-None-Match`` has that ETag."""
    given = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    return tag in given or "*" in given


class ClosingStream(StreamingResponse):
    """A stream that calls ``close`` when it ends, in whatever way; even where nobody has read of it."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        close: Callable[[], None],
        *,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(content, 200, headers, media_type)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()
