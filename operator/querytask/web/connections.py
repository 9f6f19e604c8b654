"""A connection of the server that a slow client cannot hold: the time-outs and bounds that uvicorn does not
have.

uvicorn waits for ever for the rest of a request's headers and for a client that does not read. Here a
connection has ``header_seconds`` to send a whole head, and is cut when it takes nothing of an answer for
``send_seconds``; one for which there is no place is told 503 and closed. A body's time is in ``bodies``, a
handshake's in ``handshakes``, the number of connections in ``places``.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from querytask.web.places import Place, Places
from querytask.web.problems import Code, Refusal, answer_to

log = logging.getLogger(__name__)

LEAVE_SECONDS = 1.0
"""How long a client that is sent away may take to read why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one connection; times in seconds."""

    header_seconds: float
    send_seconds: float
    places: Places


def address_of(transport: asyncio.BaseTransport) -> str:
    """Whose connection it is."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def protocol(bounds: Bounds) -> type[H11Protocol]:
    """The class that a server makes its connections of."""

    class Connection(GuardedConnection):
        """With these bounds."""

        limits = bounds

    return Connection


class GuardedConnection(H11Protocol):
    """One connection."""

    limits: Bounds

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self.place: Place | None = None
        """Of a connection that has one before it is made, as after a handshake."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of a request, or send the client away."""
        super().connection_made(transport)
        self.place = self.place or self.limits.places.enter(address_of(transport))
        if self.place.silent:
            transport.abort()
        elif self.place.why:
            log.warning("A connection was refused: %s", self.place.why)
            self._refuse(Refusal(Code.OVERLOADED, self.place.why, retry_after=1))
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._cancel()
        if self.place is not None:
            self.place.leave()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Take it in; a head that is whole ends its wait."""
        if self._leaving or self.transport.is_closing():
            return
        super().data_received(data)
        self._expect_head()

    def pause_writing(self) -> None:
        """The client has not taken what it was sent."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.limits.send_seconds, self._give_up)

    def resume_writing(self) -> None:
        """It has."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem, too."""
        self._refuse(
            Refusal(Code.MALFORMED_REQUEST, "the request must be HTTP/1.1, with a head of at most 64 KiB")
        )

    def on_response_complete(self) -> None:
        """The next head may have begun."""
        super().on_response_complete()
        self._expect_head()

    def _expect_head(self) -> None:
        waiting = self._leaving is None and self._unfinished() and not self.transport.is_closing()
        if waiting and self._head is None:
            self._head = self.loop.call_later(self.limits.header_seconds, self._no_head)
        elif not waiting and self._head is not None:
            self._head.cancel()
            self._head = None

    def _unfinished(self) -> bool:
        """Whether the client has to send something: a head, the rest of one, or the rest of a body that was
        answered before it was whole. Between two requests it has a longer time, and need not."""
        if self.conn.their_state is h11.SEND_BODY:
            return self.conn.our_state is h11.DONE
        begun = bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.IDLE and (begun or self.timeout_keep_alive_task is None)

    def _no_head(self) -> None:
        self._head = None
        if self._unfinished() and not self.transport.is_closing():
            self.transport.abort()

    def _give_up(self) -> None:
        self._stuck = None
        log.info("A connection was closed: its client took nothing for %g s", self.limits.send_seconds)
        self.transport.abort()

    def _cancel(self) -> None:
        for timer in (self._head, self._stuck, self._leaving):
            if timer is not None:
                timer.cancel()
        self._head = self._stuck = None

    def _refuse(self, refusal: Refusal) -> None:
        answer = answer_to(refusal)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = f"HTTP/1.1 {refusal.status} \r\n".encode()
        self.transport.write(status + head + b"\r\n" + bytes(answer.body))
        # What the client is still sending would end the connection with a reset, and the refusal with it.
        self._leaving = self.loop.call_later(LEAVE_SECONDS, self._leave)

    def _leave(self) -> None:
        self.transport.close()
        # Under TLS the close waits for the client's, as long as an answer may take.
        self._leaving = self.loop.call_later(LEAVE_SECONDS, self.transport.abort)
