"""How a value of a record lies in a column. For ``schema`` only.

A time is a number of milliseconds since 1970 in UTC: eight bytes, ordered as the times are, so that a range
of times is a range of an index, on every database alike; and no text format has to be trusted. Text drops
lone surrogates, which JSON lets in and UTF-8 does not; PostgreSQL's also NUL, which it has no place for. Text
compares as its bytes do, on both: the order of a list depends on no locale, nor does an index.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)
_BYTEWISE = sa.TEXT(collation="C")


def millis(moment: dt.datetime) -> int:
    """Milliseconds since 1970; raises ``ValueError`` for a time without a zone, which would mean another
    time on another machine."""
    if moment.tzinfo is None:
        raise ValueError(f"a time in the history must have a zone, not {moment.isoformat()}")
    return (moment - _EPOCH) // _MILLISECOND


def moment(number: int) -> dt.datetime:
    """The time that ``millis`` gave."""
    return _EPOCH + number * _MILLISECOND


def to_millisecond(value: dt.datetime) -> dt.datetime:
    """The same time as it comes back from a column."""
    return moment(millis(value))


class Moment(sa.types.TypeDecorator[dt.datetime]):
    """An aware ``datetime`` as milliseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else millis(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> dt.datetime | None:
        return _moment(value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[int | None], Any]:
        # Without the library's own steps around it: a page of a list holds hundreds of times.
        return _moment


class Words(sa.types.TypeDecorator[str]):
    """Text of any length."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return _BYTEWISE if dialect.name == "postgresql" else dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        text = clean(str(value))
        return without_nul(text) if dialect.name == "postgresql" else text


DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
"""A SHA-256 in hexadecimal."""


class Json(sa.types.TypeDecorator[Any]):
    """Whatever ``json`` can write, as compact text with its keys in the order of the record."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return _BYTEWISE if dialect.name == "postgresql" else dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        # A NUL stands escaped in JSON: such text is no harm to any database.
        return None if value is None else clean(json_text(value))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return _parsed(value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[str | None], Any]:
        return _parsed


def _moment(value: int | None) -> dt.datetime | None:
    return None if value is None else moment(value)


def _parsed(value: str | None) -> Any:
    if value is None:
        return None
    try:
        return from_json(value)
    except ValueError:
        return json.loads(value)  # the quick parser ends where lists are nested two hundred deep


def json_text(value: Any) -> str:
    """Compact JSON; raises ``TypeError`` for what JSON has no words for, but for numbers that are none,
    which become null."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json_text(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def clean(text: str) -> str:
    """``text`` with a question mark for each lone surrogate."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def without_nul(text: str) -> str:
    """``text`` with the sign for what cannot be shown in place of each NUL."""
    return text.replace("\0", "\ufffd")
