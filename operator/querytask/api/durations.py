"""Durations as people write them: ``30m``, ``7d``, ``1h30m``, or plain seconds. One grammar for every field,
every setting and the docs.

Each unit stands at most once, the larger before the smaller, so that ``find`` of a unit in a CEL rule is
unambiguous.
"""

from __future__ import annotations

import re
from decimal import Decimal

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Seconds in a unit, the largest unit first."""
MAX_LENGTH = 32
NUMBER = r"[0-9]{1,9}(\.[0-9]{1,3})?"
PATTERN = "^(" + NUMBER + "|" + "".join(f"({NUMBER}{unit})?" for unit in UNITS) + ")$"
EXAMPLES = "30m, 7d, 1h30m or plain seconds"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]?)")
_WHOLE = re.compile(PATTERN)
_WRITTEN = {unit: size for unit, size in UNITS.items() if unit != "w"}  # people say 7d


def seconds(text: str | float, least: float = 0, most: float = float("inf")) -> float:
    """The seconds that ``text`` names.

    Raises ``ValueError`` when it is no duration, or shorter than ``least`` or longer than ``most`` seconds.
    """
    found = _seconds(text)
    if not least <= found <= most:
        raise ValueError(f'must be at least {write(least)} and at most {write(most)}, not "{text}"')
    return found


def _seconds(text: str | float) -> float:
    if isinstance(text, (int, float)) and not isinstance(text, bool) and 0 <= text < float("inf"):
        return float(text)
    if not isinstance(text, str) or not text or len(text) > MAX_LENGTH or not _WHOLE.fullmatch(text):
        raise ValueError(f'must be a duration such as {EXAMPLES}, not "{str(text)[:80]}"')
    return float(sum(Decimal(number) * UNITS[unit or "s"] for number, unit in _PART.findall(text)))


def write(length: float) -> str:
    """The shortest exact text of ``length`` seconds, to the millisecond: ``write(5400)`` is ``1h30m``,
    ``write(0)`` is ``0s``."""
    if length == float("inf"):
        return "unlimited"
    left, parts = round(Decimal(str(length)), 3), []
    for unit, size in _WRITTEN.items():
        count = left if unit == "s" else left // size
        if count:
            parts.append(f"{_plain(count)}{unit}")
            left -= count * size
    return "".join(parts) or "0s"


def brief(length: float) -> str:
    """For the eye, at most two units: ``0.04s``, ``2.3s``, ``12s``, ``4m12s``, ``1h5m``, ``2d3h``."""
    if length < 10:
        return write(round(length, 2 if length < 1 else 1))
    whole = int(length)
    step = [size for size in _WRITTEN.values() if size <= whole][:2][-1]
    return write(whole // step * step)


def decimal(length: float) -> str:
    """Seconds as a decimal string with at most three decimals, the spelling of every ``…Seconds`` field of
    a status."""
    return _plain(round(Decimal(str(max(0.0, length))), 3))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
