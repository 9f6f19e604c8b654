"""A door of its own for the kubelet: ``/healthz`` and what is below it, on a port without TLS.

Callers who take every connection of the API must not make the kubelet restart it, which would help nobody.
"""

from __future__ import annotations

import asyncio
import dataclasses

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from querytask.web.authentication import is_open
from querytask.web.server import Server
from querytask.web.settings import ApiSettings

CONNECTIONS = 16
SECONDS = 5.0
"""A probe that takes longer has failed."""


def server(app: ASGIApp, settings: ApiSettings, stopping: asyncio.Event) -> Server | None:
    """The server of the probes of ``app``; nothing where the settings name no port for it."""
    if settings.api_health_port == 0:
        return None
    own = dataclasses.replace(
        settings,
        api_port=settings.api_health_port,
        api_tls="Off",
        api_max_connections=CONNECTIONS,
        api_header_seconds=min(SECONDS, settings.api_header_seconds),
        api_keep_alive_seconds=1,
        api_stop_seconds=1,
    )
    return Server(only_health(app), own, stopping, "The door for probes")


def only_health(app: ASGIApp) -> ASGIApp:
    """``app`` for the paths without a token, and 404 for all others: tokens are not for this door."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            await PlainTextResponse("only /healthz is here\n", 404)(scope, receive, send)
            return
        await app(scope, receive, send)

    return door
