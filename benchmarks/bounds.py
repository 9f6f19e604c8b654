"""The bounds of all benchmarks, in one file, and the line that every figure is reported in.

Each benchmark is a program of its own that prints what it does, and for each figure one line of JSON;
``python -m benchmarks`` gathers these lines into one table.

A figure that breaks its ``bound`` fails the run. Where what is wished for is out of reach for a known reason,
the wish stands beside it as ``aim``, with the page that says ``why``: a miss is said and fails nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BOUNDS = Path(__file__).with_name("bounds.json")
RATIO = "ratio"


@dataclass(frozen=True)
class Figure:
    """A measured figure beside its bound; ``baseline`` is what it is compared with, from the same run."""

    name: str
    value: float
    baseline: float | None
    ratio: float | None
    bound: float | None
    unit: str
    better: str
    ok: bool
    aim: float | None = None
    aimed: bool = True
    """Whether the aim, if there is one, is reached."""


def figure(name: str, value: float, baseline: float | None = None) -> Figure:
    """The figure of that name, held against its bound.

    Where the bound's unit is ``ratio`` and there is a ``baseline``, it is the quotient of the two that is
    held. Raises ``KeyError`` for a name that ``bounds.json`` does not have.
    """
    entry: dict[str, Any] = json.loads(BOUNDS.read_text())[name]
    ratio = value / baseline if baseline else None
    held = ratio if ratio is not None and entry["unit"] == RATIO else value
    bound: float | None = entry["bound"]
    aim: float | None = entry.get("aim")
    kept, reached = (_within(held, limit, entry["better"]) for limit in (bound, aim))
    return Figure(name, value, baseline, ratio, bound, entry["unit"], entry["better"], kept, aim, reached)


def _within(held: float, limit: float | None, better: str) -> bool:
    return limit is None or (held <= limit if better == "lower" else held >= limit)


def report(name: str, value: float, baseline: float | None = None) -> bool:
    """Print one figure beside its bound as a line of JSON; whether it keeps it. Raises ``KeyError`` without a
    bound."""
    found = figure(name, value, baseline)
    shown = {key: round(part, 4) if isinstance(part, float) else part for key, part in asdict(found).items()}
    print(json.dumps(shown), flush=True)
    return found.ok


def told(line: str) -> Figure | None:
    """The figure that a line of a benchmark's output holds; ``None`` for any other line."""
    if not line.startswith('{"name": '):
        return None
    return Figure(**json.loads(line))


def geometric_mean(values: list[float]) -> float:
    """The n-th root of the product."""
    return math.exp(sum(map(math.log, values)) / len(values))


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed; the largest for a share of 1."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
