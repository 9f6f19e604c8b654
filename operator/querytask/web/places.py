"""How many connections there are, counted from the moment that one is accepted, and who is beyond the bounds.

For ``connections``, and for ``handshakes``, which come first under TLS. All connections together have a
bound, and one address a quarter of it. Those who are sent away are counted apart, and stay a moment: they
take no place from others, and so many of them at one time are still told why; the next ones are not.
"""

from __future__ import annotations

from collections import Counter

REFUSALS = 16
"""Connections that are being told at one time that there is no place for them."""


class Place:
    """What one connection holds; ``why`` says which bound it is beyond, and is empty for one that may stay.
    ``silent``: there is no room even to say why."""

    def __init__(self, places: Places, address: str, why: str, *, silent: bool = False) -> None:
        self._places, self._address, self._left = places, address, False
        self.why, self.silent = why, silent

    def leave(self) -> None:
        """Give it back; safe to repeat."""
        if not self._left:
            self._left = True
            self._places.left(self._address, refused=bool(self.why), silent=self.silent)


class Places:
    """The places of one server."""

    def __init__(self, most: int) -> None:
        self._most, self._quarter = most, max(1, most // 4)
        self._held: Counter[str] = Counter()
        self._all = self._refused = 0

    def enter(self, address: str) -> Place:
        """The place of a connection that was accepted just now; it has to be left."""
        if why := self._beyond(address):
            silent = self._refused >= REFUSALS
            self._refused += not silent
            return Place(self, address, why, silent=silent)
        self._all += 1
        self._held[address] += 1
        return Place(self, address, "")

    def left(self, address: str, *, refused: bool, silent: bool) -> None:
        """For ``Place`` alone."""
        if refused:
            self._refused -= not silent
            return
        self._all -= 1
        self._held[address] -= 1
        if not self._held[address]:
            del self._held[address]

    def _beyond(self, address: str) -> str:
        if self._all >= self._most:
            return f"at most {self._most} connections are open at one time"
        if self._held[address] >= self._quarter:
            return f"at most {self._quarter} connections of one address are open at one time"
        return ""
