"""``/healthz``, ``/readyz`` and ``/metrics``: the first says whether a restart would help, the second whether
the operator does its work.

kopf's own endpoint proves only that the loop turns. A stuck loop of ours, an item that one call holds too
long or a resync that nobody tries, is what a restart mends; an API server or a history that refuses is not,
and shows in readiness.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from querytask import metrics

Checks = Callable[[], Awaitable[dict[str, str]]]
"""Names of the checks, each with what is wrong; an empty text where nothing is."""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the three answers are made from."""

    alive: Checks
    ready: Checks
    exposition: Callable[[], Awaitable[bytes]]


async def serve(probes: Probes, port: int) -> tuple[web.AppRunner, int]:
    """Serve on all addresses; the runner, to be cleaned up, and the port that was taken."""
    app = web.Application()
    app.router.add_get("/healthz", lambda _: _answer(probes.alive))
    app.router.add_get("/readyz", lambda _: _answer(probes.ready))
    app.router.add_get("/metrics", lambda _: _metrics(probes.exposition))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", port)
    await site.start()
    return runner, int(runner.addresses[0][1])


async def _answer(checks: Checks) -> web.Response:
    found = await checks()
    failed = {name: what for name, what in found.items() if what}
    body = {"ok": not failed, "checks": {name: what or "ok" for name, what in found.items()}}
    return web.Response(
        text=json.dumps(body) + "\n", status=503 if failed else 200, content_type="application/json"
    )


async def _metrics(exposition: Callable[[], Awaitable[bytes]]) -> web.Response:
    return web.Response(body=await exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})
