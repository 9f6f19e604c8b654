"""The three answers, over real HTTP on a free port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from querytask.metrics import CONTENT_TYPE
from querytask.runtime import probes


class Process:
    """What the probes ask, changed at will."""

    def __init__(self) -> None:
        self.living: dict[str, str] = {"resyncTimer": ""}
        self.readiness: dict[str, str] = {"apiServer": ""}
        self.port = 0

    async def alive(self) -> dict[str, str]:
        return self.living

    async def ready(self) -> dict[str, str]:
        return self.readiness

    async def exposition(self) -> bytes:
        return b"querytask_up 1\n"

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, content type and body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    found = Process()
    told = probes.Probes(found.alive, found.ready, found.exposition)
    runner, found.port = await probes.serve(told, 0)
    yield found
    await runner.cleanup()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_well(process, path):
    """200, and each check by name."""
    status, kind, body = await process.get(path)
    assert (status, kind) == (200, "application/json; charset=utf-8")
    assert json.loads(body)["ok"] is True
    assert set(json.loads(body)["checks"].values()) == {"ok"}


async def test_each_fails_for_itself(process):
    """An operator that lives may be unready; 503 says why."""
    process.readiness = {"apiServer": "no answer", "history": ""}
    status, _, body = await process.get("/readyz")
    assert status == 503
    assert json.loads(body) == {"ok": False, "checks": {"apiServer": "no answer", "history": "ok"}}
    assert (await process.get("/healthz"))[0] == 200
    process.living = {"resyncTimer": "stuck"}
    assert (await process.get("/healthz"))[0] == 503


async def test_metrics(process):
    """As Prometheus reads them."""
    assert await process.get("/metrics") == (200, CONTENT_TYPE, "querytask_up 1\n")


async def test_nothing_else(process):
    """No other path is served."""
    assert (await process.get("/"))[0] == 404


async def test_a_port_that_is_taken_is_an_error(process):
    """Two operators on one port would tell each other's health."""
    told = probes.Probes(process.alive, process.ready, process.exposition)
    with pytest.raises(OSError, match="in use"):
        await probes.serve(told, process.port)
