"""The bounds of all benchmarks, in one file, and the line that every figure is reported in.

Each benchmark is a program of its own that prints what it does, and for each figure one line of JSON;
``python -m benchmarks`` gathers these lines into one table.
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


def figure(name: str, value: float, baseline: float | None = None) -> Figure:
    """The figure of that name, held against its bound.

    Where the bound's unit is ``ratio`` and there is a ``baseline``, it is the quotient of the two that is
    held. Raises ``KeyError`` for a name that ``bounds.json`` does not have.
    """
    entry: dict[str, Any] = json.loads(BOUNDS.read_text())[name]
    ratio = value / baseline if baseline else None
    held = ratio if ratio is not None and entry["unit"] == RATIO else value
    bound: float | None = entry["bound"]
    kept = bound is None or (held <= bound if entry["better"] == "lower" else held >= bound)
    return Figure(name, value, baseline, ratio, bound, entry["unit"], entry["better"], kept)


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
