"""A real server on the loopback in the loop of a test: without TLS, and with a toy behind the bounds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import ASGIApp

from querytask.web.server import Server
from querytask.web.settings import ApiSettings


def settings(**changes: Any) -> ApiSettings:
    """Settings of a server without TLS on a free port."""
    values: dict[str, Any] = {
        "namespace": "analytics",
        "api_host": "127.0.0.1",
        "api_port": 0,
        "api_tls": "Off",
    }
    return ApiSettings(**values | {"api_stop_seconds": 1} | changes)


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, found: ApiSettings) -> AsyncIterator[Server]:
    """A server of ``app`` that listens; it is ended."""
    server = Server(app, found, asyncio.Event())
    task = asyncio.ensure_future(server.serve())
    try:
        while not server.started:
            assert not task.done(), task
            await asyncio.sleep(0.005)
        yield server
    finally:
        server.stop()
        await task


class Wire:
    """A client that sends what it likes, as slowly as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, server: Server, address: str = "127.0.0.1") -> Wire:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0)))

    async def send(self, text: str) -> None:
        self.writer.write(text.encode())
        await self.writer.drain()

    async def rest(self, seconds: float = 5.0) -> str:
        """All that comes until the server ends the connection."""
        async with asyncio.timeout(seconds):
            try:
                return (await self.reader.read()).decode()
            except ConnectionError:
                return ""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
