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
Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Probes:
    """What the three answers are made from."""

    alive: Checks
    ready: Checks
    exposition: Callable[[], Awaitable[bytes]]


async def serve(probes: Probes, port: int) -> tuple[web.AppRunner, int]:
    """Serve on all addresses; the runner, to be cleaned up, and the port that was taken."""
    app = web.Application()
    app.router.add_get("/healthz", _answering(probes.alive))
    app.router.add_get("/readyz", _answering(probes.ready))
    app.router.add_get("/metrics", _exposing(probes.exposition))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", port)
    await site.start()
    return runner, int(runner.addresses[0][1])


def _answering(checks: Checks) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        found = await checks()
        failed = {name: what for name, what in found.items() if what}
        body = {"ok": not failed, "checks": {name: what or "ok" for name, what in found.items()}}
        status = 503 if failed else 200
        return web.Response(text=json.dumps(body) + "\n", status=status, content_type="application/json")

    return answer


def _exposing(exposition: Callable[[], Awaitable[bytes]]) -> Handler:
    async def expose(_: web.Request) -> web.Response:
        return web.Response(body=await exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})

    return expose
