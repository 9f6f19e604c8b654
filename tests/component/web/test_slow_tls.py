"""What TLS adds to a slow client: the end of an answer, and handshakes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from cluster.harness.pki import Identity, Pki
from querytask.web.access import Access
from querytask.web.settings import ApiSettings
from tests.component.web.serving import serving, settings

SIZE = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A certificate for ``localhost``."""
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.make([Identity("api", "api", hosts=("localhost",))])
    return made


def secure(pki: Pki, **changes: object) -> ApiSettings:
    """Settings of a server with TLS."""
    files = {"api_certificate": str(pki.certificate("api")), "api_key": str(pki.key("api"))}
    return settings(api_tls="On", **files, **changes)


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with more than any buffer on the way takes."""
    length = (b"content-length", b"%d" % SIZE)
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": b"x" * SIZE})


async def pieces(reader: asyncio.StreamReader, pause: float) -> AsyncIterator[bytes]:
    """All that comes, from a client that first takes nothing for ``pause`` seconds and then reads slowly."""
    await asyncio.sleep(pause)
    while piece := await reader.read(256 * 1024):
        yield piece
        await asyncio.sleep(0.002)


async def test_the_end_of_an_answer_reaches_a_slow_client(pki: Pki):
    """The close after the answer waits for the client as long as the answer does, not a second."""
    trust = ssl.create_default_context(cafile=str(pki.authority))
    async with serving(Access(large, lambda: 0.0), secure(pki, api_send_seconds=20)) as server:
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        near.connect(("127.0.0.1", server.port))
        near.setblocking(False)
        reader, writer = await asyncio.open_connection(
            sock=near, ssl=trust, server_hostname="localhost", limit=16 * 1024
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(15):
            taken = sum([len(piece) async for piece in pieces(reader, 1.3)])
        writer.transport.abort()
    assert taken == SIZE
