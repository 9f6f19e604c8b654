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
from querytask.web.places import REFUSALS
from querytask.web.server import Server
from querytask.web.settings import ApiSettings
from tests.component.web.serving import Wire, serving, settings

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


async def ask(server: Server, pki: Pki, address: str) -> str:
    """What the server says to whoever comes from that address."""
    trust = ssl.create_default_context(cafile=str(pki.authority))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, local_addr=(address, 0), ssl=trust, server_hostname="localhost"
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try:
            return (await reader.read()).decode()
        finally:
            writer.transport.abort()


async def small(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_connections_that_never_shake_hands_are_counted(pki: Pki):
    """An address has its quarter of them, as of all; it is told so, and the others are served. Ended, they
    leave their places."""
    found = secure(pki, api_max_connections=8, api_header_seconds=30)
    async with serving(Access(small, lambda: 0.0), found) as server:
        silent = [await Wire.to(server, "127.0.0.2") for _ in range(2)]
        assert "at most 2 connections of one address" in await ask(server, pki, "127.0.0.2")
        assert "200 OK" in await ask(server, pki, "127.0.0.3")
        for wire in silent:
            await wire.close()
        async with asyncio.timeout(5):
            while "200 OK" not in await ask(server, pki, "127.0.0.2"):
                pass


async def test_all_together_have_the_bound_before_they_shake_hands(pki: Pki):
    """From however many addresses they come."""
    found = secure(pki, api_max_connections=3, api_header_seconds=30)
    async with serving(Access(small, lambda: 0.0), found) as server:
        silent = [await Wire.to(server, f"127.0.0.{number}") for number in (2, 3, 4)]
        assert "at most 3 connections are open" in await ask(server, pki, "127.0.0.5")
        for wire in silent:
            await wire.close()


async def test_a_handshake_that_does_not_come_has_an_end(pki: Pki):
    """And its place is free for others."""
    found = secure(pki, api_max_connections=4, api_header_seconds=1)
    async with serving(Access(small, lambda: 0.0), found) as server:
        wire = await Wire.to(server)
        assert await wire.rest() == ""
        assert "200 OK" in await ask(server, pki, "127.0.0.1")
        await wire.close()


async def test_a_flood_of_them_is_cut_without_a_word(pki: Pki):
    """Beyond those who are told why: they cost no handshake, and take no place from another address."""
    found = secure(pki, api_max_connections=8, api_header_seconds=30)
    async with serving(Access(small, lambda: 0.0), found) as server:
        crowd = [await Wire.to(server, "127.0.0.2") for _ in range(2 + REFUSALS)]
        late = await Wire.to(server, "127.0.0.2")
        assert await late.rest(1.5) == ""
        assert "200 OK" in await ask(server, pki, "127.0.0.3")
        for wire in (*crowd, late):
            await wire.close()


async def test_a_request_that_comes_with_the_end_of_the_handshake_is_served(pki: Pki):
    """Many at a time, as clients do that send as soon as they can."""
    async with serving(Access(small, lambda: 0.0), secure(pki)) as server:
        told = await asyncio.gather(*(ask(server, pki, f"127.0.0.{number}") for number in range(2, 22)))
    assert all("200 OK" in text for text in told)


async def test_what_is_no_handshake_ends_the_connection(pki: Pki):
    """Such as plain HTTP, by mistake."""
    async with serving(Access(small, lambda: 0.0), secure(pki, api_header_seconds=30)) as server:
        wire = await Wire.to(server)
        await wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "200" not in (await wire.reader.read()).decode("latin-1")
        await wire.close()
