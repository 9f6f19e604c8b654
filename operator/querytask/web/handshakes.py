"""A connection before TLS speaks: it has its place from the moment that it is accepted, and a bounded time to
shake hands.

The loop's own servers make a protocol's connection only when the handshake is over, so that whoever opens
connections and sends nothing would be counted nowhere. Here the handshake is asked for on a connection that
is counted already; what comes after it is ``connections``.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from querytask.web.connections import GuardedConnection, address_of
from querytask.web.places import Place, Places

log = logging.getLogger(__name__)

REFUSED_SECONDS = 2.0
"""How long a client that is to be sent away may take to shake hands."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a handshake; times in seconds."""

    context: ssl.SSLContext
    handshake_seconds: float
    shutdown_seconds: float
    """For the end of an answer to go out after the connection was closed."""


class Handshakes:
    """Those under way at one server; ``connect`` makes a connection for one that has ended well."""

    def __init__(self, terms: Terms, places: Places, connect: Callable[[], GuardedConnection]) -> None:
        self.terms, self.places, self.connect = terms, places, connect
        self.under_way: set[Handshake] = set()

    def protocol(self) -> Handshake:
        """For a connection that is accepted."""
        return Handshake(self)

    def abort(self) -> None:
        """End them all."""
        for handshake in list(self.under_way):
            handshake.abort()


class Handshake(asyncio.Protocol):
    """One."""

    def __init__(self, all_: Handshakes) -> None:
        self._all = all_
        self._place: Place | None = None
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, and begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._place = transport, self._all.places.enter(address_of(transport))
        self._all.under_way.add(self)
        if self._place.silent:
            self.abort()
        else:
            self._task = asyncio.ensure_future(self._shake(transport, self._place))

    def data_received(self, data: bytes) -> None:
        """Keep what comes between the end of the handshake and the beginning of the connection."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone before it was served."""
        self._lost = True
        if self._task is None:
            self._end()

    def abort(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    async def _shake(self, transport: asyncio.Transport, place: Place) -> None:
        try:
            secure = await self._secured(transport, place)
        except (OSError, asyncio.CancelledError) as error:
            log.debug("A handshake has failed: %s", error)
            secure = None
        self._all.under_way.discard(self)
        if secure is None or self._lost:
            transport.abort()
            self._end()
            return
        connection = self._all.connect()
        connection.place = place
        secure.set_protocol(connection)
        connection.connection_made(secure)
        for data in self._early:
            connection.data_received(data)

    async def _secured(self, transport: asyncio.Transport, place: Place) -> asyncio.Transport | None:
        """The connection with TLS; nothing where the client has gone."""
        terms = self._all.terms
        seconds = min(terms.handshake_seconds, REFUSED_SECONDS) if place.why else terms.handshake_seconds
        # The loop's own time ends with an error that is told to a connection, which may be lost by then.
        async with asyncio.timeout(seconds + 1):
            return await asyncio.get_running_loop().start_tls(
                transport,
                self,
                terms.context,
                server_side=True,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=terms.shutdown_seconds,
            )

    def _end(self) -> None:
        self._all.under_way.discard(self)
        if self._place is not None:
            self._place.leave()
