"""Probes have a door of their own, which callers cannot crowd and which is for nothing else."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from querytask.web import probes
from tests.component.web.serving import Wire, serving, settings


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    """An API that answers everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def test_a_crowd_at_the_api_does_not_reach_the_probes():
    """Where every connection of the API is taken, a probe is answered."""
    found = settings(api_max_connections=1, api_header_seconds=30, api_health_port=free_port())
    own = probes.server(fine, found, asyncio.Event())
    assert own is not None
    task = asyncio.ensure_future(own.serve())
    async with serving(fine, found) as server, httpx.AsyncClient(trust_env=False) as client:
        while not own.started:
            assert not task.done(), task
            await asyncio.sleep(0.005)
        taken, refused = await Wire.to(server), await Wire.to(server)
        assert (await refused.rest()).startswith("HTTP/1.1 503")
        door = f"http://127.0.0.1:{own.port}"
        for path, status in (("/healthz", 200), ("/healthz/ready", 200), ("/api/v1/tasks", 404), ("/", 404)):
            assert (await client.get(door + path)).status_code == status, path
        for wire in (taken, refused):
            await wire.close()
    own.stop()
    await task


@pytest.mark.parametrize("tls", ["On", "Off"])
def test_without_a_port_there_is_none(tls):
    """As where nobody probes."""
    assert probes.server(fine, settings(api_tls=tls), asyncio.Event()) is None
