"""A client that is slow, silent or rude takes nothing from the others: real connections to a real server."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from querytask.web.access import Access
from querytask.web.bodies import Bodies
from tests.component.web.serving import Wire, serving, settings

GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and says how long it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await answer(send, str(size).encode())


async def answer(send: Send, body: bytes) -> None:
    start: Message = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"%d" % len(body))],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


def bounded(app=reading, most=1000, seconds=0.2):
    """An app behind the bounds of a body."""
    return Access(Bodies(app, most, seconds), lambda: 0.0)


async def ask(server, **options) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"http://127.0.0.1:{server.port}/", **options)


@pytest.mark.parametrize("begin", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(begin):
    """Whether nothing comes or half of it."""
    async with serving(bounded(), settings(api_header_seconds=0.1)) as server:
        wire = await Wire.to(server)
        await wire.send(begin)
        assert await wire.rest() == ""
        await wire.close()


async def test_neither_does_a_second_one():
    """A connection that has been served once has no more time for the next head."""
    async with serving(bounded(), settings(api_header_seconds=0.1)) as server:
        wire = await Wire.to(server)
        await wire.send(GET + "GET / HT")
        assert (await wire.rest()).count("200 OK") == 1
        await wire.close()


async def test_a_head_in_pieces_that_is_quick_enough_is_served():
    """What is bounded is the whole, not a piece."""
    async with serving(bounded(), settings(api_header_seconds=2)) as server:
        wire = await Wire.to(server)
        for letter in GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"):
            await wire.send(letter)
        assert "200 OK" in await wire.rest()
        await wire.close()


async def test_a_body_that_does_not_come_is_a_408():
    """And the connection ends, since the rest of it would be taken for a request."""
    async with serving(bounded(), settings()) as server:
        wire = await Wire.to(server)
        await wire.send(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        told = await wire.rest()
        await wire.close()
    assert told.startswith("HTTP/1.1 408")
    assert json.loads(told.partition("\r\n\r\n")[2])["code"] == "RequestTimeout"


@pytest.mark.parametrize("told", [True, False], ids=["length", "chunks"])
async def test_a_body_that_is_too_long_is_a_413(told):
    """Before it is read where its length is told, and as soon as it is too long where it is not."""

    async def pieces():
        for _ in range(40):
            yield b"x" * 100

    content = b"x" * 4000 if told else pieces()
    async with serving(bounded(), settings()) as server:
        found = await ask(server, content=content, headers={"Content-Type": "application/json"})
        assert (found.status_code, found.json()["code"]) == (413, "BodyTooLarge")
        fits = await ask(server, content=b"x" * 1000, headers={"Content-Type": "application/json"})
        assert (fits.status_code, fits.text) == (200, "1000")


async def test_a_body_that_is_no_json_is_a_415():
    """A form, or nothing said at all."""
    async with serving(bounded(), settings()) as server:
        for options in ({"data": {"a": "b"}}, {"content": b"x"}):
            found = await ask(server, **options)
            assert (found.status_code, found.json()["code"]) == (415, "UnsupportedMediaType")
        assert (await ask(server)).status_code == 200


async def test_what_is_no_http_is_a_400():
    """In the same shape as every refusal."""
    async with serving(bounded(), settings()) as server:
        wire = await Wire.to(server)
        await wire.send("hello\r\n\r\n")
        head, _, body = (await wire.rest()).partition("\r\n\r\n")
        await wire.close()
    assert head.startswith("HTTP/1.1 400")
    assert "application/problem+json" in head
    assert json.loads(body)["code"] == "MalformedRequest"


async def test_a_client_that_does_not_read_is_cut_off():
    """Its answer is given up after a while, and others are answered meanwhile."""
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/endless":
            await answer(send, b"ok")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100_000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            if (await _gone(receive)) is True:
                ended.set()
                return

    async with serving(Access(endless, lambda: 0.0), settings(api_send_seconds=0.2)) as server:
        wire = await Wire.to(server)
        try:
            await wire.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await ask(server)).text == "ok"
            async with asyncio.timeout(10):
                await ended.wait()
        finally:
            # The server waits for its requests: without this a failure would never be seen.
            wire.writer.transport.abort()


async def _gone(receive: Receive) -> bool:
    """Whether the client has gone, asked without waiting."""
    task = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait([task], timeout=0)
    if not done:
        task.cancel()
        return False
    return bool(task.result()["type"] == "http.disconnect")


async def test_too_many_connections_are_told_so():
    """A quarter of the bound for one address: 503 at once, and room again when one has gone."""
    async with serving(bounded(), settings(api_max_connections=8, api_header_seconds=30)) as server:
        first, second = await Wire.to(server), await Wire.to(server)
        await first.send(GET)
        await second.send(GET)
        await first.reader.readuntil(b"\r\n\r\n")
        await second.reader.readuntil(b"\r\n\r\n")
        third = await Wire.to(server)
        told = await third.rest()
        assert told.startswith("HTTP/1.1 503")
        assert "at most 2 connections of one address" in told
        assert json.loads(told.partition("\r\n\r\n")[2])["code"] == "Overloaded"
        for wire in (first, third):
            await wire.close()
        fourth = await Wire.to(server)
        await fourth.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        assert "200 OK" in await fourth.rest()
        for wire in (second, fourth):
            await wire.close()


async def test_one_address_leaves_room_for_others():
    """And all together have the bound."""
    async with serving(bounded(), settings(api_max_connections=4, api_header_seconds=30)) as server:
        wires = [await Wire.to(server, f"127.0.0.{number}") for number in (2, 3, 4, 5)]
        for wire in wires:
            await wire.send(GET)
            assert "200 OK" in (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        last = await Wire.to(server, "127.0.0.6")
        assert "at most 4 connections are open" in await last.rest()
        for wire in (*wires, last):
            await wire.close()


async def test_a_request_that_is_under_way_ends_before_the_server_does():
    """And nobody new is served."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await may_end.wait()
        await answer(send, b"done")

    async with serving(Access(slow, lambda: 0.0), settings(api_stop_seconds=5)) as server:
        port = server.port
        asked = asyncio.ensure_future(ask(server))
        await begun.wait()
        server.stop()
        async with asyncio.timeout(5):
            while await listens(port):
                pass
        may_end.set()
        assert (await asked).text == "done"


async def test_what_is_left_of_a_refused_body_has_no_more_time_than_a_head():
    """It is read, so that the client sees the refusal, but not for ever."""
    async with serving(bounded(), settings(api_header_seconds=0.2)) as server:
        wire = await Wire.to(server)
        await wire.send(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"
        )
        assert "413" in (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        await wire.rest()
        await wire.close()


async def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
