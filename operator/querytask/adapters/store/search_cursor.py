"""Where a page ends and the next one begins, as text that a client hands back. For ``search``.

The text is base64url of a short JSON list: a version, the order and its direction, whether one goes back,
the place, and a checksum. It is no secret and grants nothing: every page is filtered anew. What does not
decode to exactly what was encoded is refused, so that a cut or mistyped cursor never means another place.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, replace
from typing import Any

from querytask.adapters.store.columns import clean, without_nul
from querytask.core.listing import Order, QuestionRefused

_VERSION = 1
_LONGEST = 1024
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two tasks in an order, and the way to go from there."""

    order: Order
    descending: bool
    backward: bool
    """Towards the beginning of the list."""
    key: float | str
    """What the order compares first, of the task beside the place."""
    place: int
    """What it compares then."""
    seen: int = 0
    """The version at which the list began, in an order in which tasks move."""


UNIQUE = frozenset({Order.CREATED, Order.UPDATED})
"""The orders in which no two tasks are equal, so that the key is the whole place."""


def encode(cursor: Cursor) -> str:
    """The text of ``cursor``."""
    body: list[Any] = [_VERSION, cursor.order.value, int(cursor.descending), int(cursor.backward)]
    body += [cursor.key, cursor.place, cursor.seen]
    text = json.dumps([*body, _checksum(body)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str, order: Order, descending: bool) -> Cursor:
    """The cursor of ``text``; raises ``QuestionRefused`` unless it belongs to that order and direction."""
    version, found, down, backward, *place = _parts(text)
    if version != _VERSION or len(place) != 3:
        raise _refused(text, f"cursor must be of version {_VERSION}, not {version}: begin at the first page")
    asked = (order.value, int(descending))
    if (found, down) != asked:
        raise _refused(
            text,
            f"cursor must belong to the order {_order(*asked)}, not {_order(found, down)}:"
            " a list goes on in the order in which it began",
        )
    key, at, seen = place
    fits = _name(key) if order is Order.NAME else _number(key)
    if not (fits and _number(at) and _number(seen)):
        raise _damaged(text)
    return Cursor(order, descending, bool(backward), key, at, seen)


def turned(cursor: Cursor) -> Cursor:
    """The way back from ``cursor``, beginning with the very task beside it."""
    step = 1 if cursor.descending != cursor.backward else -1
    if isinstance(cursor.key, str) or cursor.order not in UNIQUE:
        return replace(cursor, backward=not cursor.backward, place=cursor.place - step)
    return replace(cursor, backward=not cursor.backward, key=cursor.key - step)


def _parts(text: str) -> list[Any]:
    try:
        raw = base64.b64decode(text[:_LONGEST] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        *body, checksum = list(json.loads(raw))
        if checksum != _checksum(body) or len(body) < 5:
            raise ValueError(text)
    except (ValueError, TypeError, binascii.Error) as error:
        raise _damaged(text) from error
    else:
        return body


def _name(value: object) -> bool:
    """Whether it can have been one: what no database can be asked for never was."""
    return isinstance(value, str) and without_nul(clean(value)) == value


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 2**63


def _damaged(text: str) -> QuestionRefused:
    shown = text[:_SHOWN]
    return _refused(text, f'cursor must be the next or previous of an earlier page, unchanged, not "{shown}"')


def _refused(text: str, sentence: str) -> QuestionRefused:
    return QuestionRefused(sentence, field="cursor", value=text)


def _checksum(body: list[Any]) -> int:
    return zlib.crc32(json.dumps(body).encode())


def _order(name: str, descending: int) -> str:
    return f"{name}, {'descending' if descending else 'ascending'}"
