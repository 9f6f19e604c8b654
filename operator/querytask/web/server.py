"""Listens, speaks TLS, and ends in good order: uvicorn, with bounds on what a client may take.

A certificate that is renewed on the disk is used for the next connections, without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Generator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from querytask import errors
from querytask.web.connections import Bounds, GuardedConnection, protocol
from querytask.web.handshakes import Handshakes, Terms
from querytask.web.places import Places
from querytask.web.settings import ApiSettings

log = logging.getLogger(__name__)

CERTIFICATE_SECONDS = 30.0
"""Between two looks at the certificate's file."""
BACKLOG = 256


class Certificate:
    """A certificate chain and its key, in two files that somebody else renews."""

    def __init__(self, chain: Path, key: Path) -> None:
        self.chain, self.key = chain, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._look()
        try:
            self.context.load_cert_chain(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise errors.SettingsError(
                f"{chain} and {key} must hold a certificate and its key: {error}"
            ) from error

    def renew(self) -> bool:
        """Use the files again if they have changed; whether they had. One that cannot be used changes
        nothing."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            # First apart: half of a change would leave a context that no client can use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.chain, self.key)
            self.context.load_cert_chain(self.chain, self.key)
        except (OSError, ssl.SSLError) as error:
            log.warning("The renewed certificate cannot be used, the old one stays: %s", error)
            return False
        log.info("The certificate was renewed")
        return True

    def _look(self) -> tuple[object, ...]:
        try:
            return tuple((item.st_mtime_ns, item.st_ino) for item in map(os.stat, (self.chain, self.key)))
        except OSError:
            return ()


class Server(uvicorn.Server):
    """One server; ``serve`` it, and ``stop`` it."""

    def __init__(
        self, app: ASGIApp, settings: ApiSettings, stopping: asyncio.Event, name: str = "The API"
    ) -> None:
        self._settings, self._stopping, self._name = settings, stopping, name
        self._certificate: Certificate | None = None
        if settings.api_tls == "On":
            self._certificate = Certificate(Path(settings.api_certificate), Path(settings.api_key))
        self._places = Places(settings.api_max_connections)
        self._handshakes: Handshakes | None = None
        bounds = Bounds(settings.api_header_seconds, settings.api_send_seconds, self._places)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol(bounds),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=settings.api_keep_alive_seconds,
                timeout_graceful_shutdown=settings.api_stop_seconds,
            )
        )

    @property
    def port(self) -> int:
        """The port that was taken; once it is ``started``."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Take no more connections, let requests end, and come back from ``serve``."""
        self._stopping.set()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Raises ``errors.SettingsError`` where the port cannot be had."""
        await self.lifespan.startup()
        if self._certificate is not None:
            settings = self._settings
            # What is left of an answer goes out in the time that it may take nothing, too.
            terms = Terms(self._certificate.context, settings.api_header_seconds, settings.api_send_seconds)
            self._handshakes = Handshakes(terms, self._places, self._connection)
        try:
            server = await asyncio.get_running_loop().create_server(
                self._handshakes.protocol if self._handshakes else self._connection,
                self._settings.api_host or None,
                self._settings.api_port,
                backlog=BACKLOG,
            )
        except OSError as error:
            place = f"{self._settings.api_host or '*'}:{self._settings.api_port}"
            raise errors.SettingsError(f"the API must be able to listen at {place}: {error}") from error
        self.servers = [server]
        self.started = True
        log.info("%s is on port %d", self._name, self.port)

    def _connection(self) -> GuardedConnection:
        """What speaks HTTP."""
        config, state = self.config, self.lifespan.state
        loop = asyncio.get_running_loop()
        made = config.http_protocol_class(config, self.server_state, state, loop)  # type: ignore[call-arg]
        assert isinstance(made, GuardedConnection)
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let requests end; whoever still shakes hands has none."""
        if self._handshakes is not None:
            self._handshakes.abort()
        await super().shutdown(sockets)

    async def main_loop(self) -> None:
        """Until it is to stop; meanwhile a renewed certificate is taken up."""
        renewal = asyncio.ensure_future(self._renew())
        try:
            await super().main_loop()
        finally:
            renewal.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the composition root's."""
        yield

    async def _renew(self) -> None:
        while self._certificate is not None:
            await asyncio.sleep(CERTIFICATE_SECONDS)
            self._certificate.renew()
