"""Times as the objects of the API write them: RFC 3339 in UTC, parsed to aware ``datetime`` and written back.

Here and not in a library, because three spellings meet: the API server's whole seconds, microtimes, and the
worker's milliseconds.
"""

from __future__ import annotations

import datetime as dt

from querytask_worker.contract import timestamp

__all__ = ["after", "parse", "second", "seconds_between", "timestamp", "within"]


def parse(text: str) -> dt.datetime:
    """The moment that ``text`` names; raises ``ValueError`` when it is no RFC 3339 time with a zone."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f'a time must have a zone, not "{text}"')
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError(f'a time must lie in the years 1 to 9999 of UTC, not "{text}"') from error


def second(moment: dt.datetime) -> str:
    """The spelling of ``metav1.Time``: whole seconds, as the conditions of an object carry them."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def after(moment: dt.datetime, seconds: float) -> dt.datetime:
    """The moment ``seconds`` later."""
    return moment + dt.timedelta(seconds=seconds)


def within(moment: dt.datetime, earliest: dt.datetime, latest: dt.datetime) -> dt.datetime:
    """``moment`` as another machine's clock has told it, but no later than ``latest``, and never before
    ``earliest``."""
    return max(earliest, min(moment, latest))


def seconds_between(start: dt.datetime, end: dt.datetime) -> float:
    """Seconds from ``start`` to ``end``, never negative: two machines' clocks differ."""
    return max(0.0, (end - start).total_seconds())


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
