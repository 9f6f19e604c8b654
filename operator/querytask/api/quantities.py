"""Kubernetes quantities, read exactly: CPU to thousandths of a core, memory to bytes, both rounded up as
the kubelet does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

MAX_LENGTH = 32
PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})?([KMGTPE]i|[mkMGTPE]|[eE][+-]?[0-9]{1,2})?$"

EXAMPLES = "500m, 2, 512Mi or 4Gi"

_WHOLE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([KMGTPE]i|[mkMGTPE]|[eE][+-]?[0-9]{1,2})?")
_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)}
_FACTORS = {"": Decimal(1), "m": Decimal("0.001"), **_BINARY, **_DECIMAL}


def millicores(text: str | int, least: int = 0, most: int | None = None) -> int:
    """Thousandths of a core; raises ``ValueError`` when ``text`` is no quantity or out of bounds."""
    return _within(text, math.ceil(_exact(text) * 1000), least, most, cpu)


def size(text: str | int, least: int = 0, most: int | None = None) -> int:
    """Bytes; raises ``ValueError`` when ``text`` is no quantity or out of bounds."""
    return _within(text, math.ceil(_exact(text)), least, most, memory)


def cpu(thousandths: int) -> str:
    """The quantity of so many thousandths of a core: ``1`` or ``250m``."""
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def memory(count: int) -> str:
    """The quantity of so many bytes, with the largest binary unit that keeps it exact: ``1Gi``,
    ``1536Mi``, ``1000``."""
    for unit, factor in reversed(_BINARY.items()):
        if count and count % int(factor) == 0:
            return f"{count // int(factor)}{unit}"
    return str(count)


def _within(text: str | int, found: int, least: int, most: int | None, spell: Callable[[int], str]) -> int:
    if found < least or (most is not None and found > most):
        upper = "" if most is None else f" and at most {spell(most)}"
        raise ValueError(f'must be at least {spell(least)}{upper}, not "{text}"')
    return found


def _exact(text: str | int) -> Decimal:
    spelled = str(text) if isinstance(text, int) and not isinstance(text, bool) else text
    match = _WHOLE.fullmatch(spelled) if isinstance(spelled, str) else None
    if match is None:
        raise ValueError(f'must be a quantity such as {EXAMPLES}, not "{str(text)[:80]}"')
    number, suffix = Decimal(match.group(1)), match.group(2) or ""
    if suffix in _FACTORS:
        return number * _FACTORS[suffix]
    return number.scaleb(int(suffix[1:]))
