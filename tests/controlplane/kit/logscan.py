"""The operator's log, read as the JSON lines that it must be, and scanned for what nobody expects in it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tests.controlplane.kit.client import Json

ALWAYS_ALLOWED = (
    # An API server that is away breaks kopf's streams; kopf says so at level error and goes on.
    r"kopf\S* .*(Request attempt|Throttling|Connection|Cannot connect|disconnected)",
    # An operator that is ended right after its start: kopf was still logging in.
    r"kopf\S* Activity .* is cancelled",
)
"""Patterns, searched in ``<logger> <message>``, of lines that are no fault in any test."""


def lines(path: Path) -> list[Json]:
    """Every whole line; one that is no JSON object comes as ``{"level": "raw", "message": …}``."""
    if not path.exists():
        return []
    return [_line(text) for text in path.read_text("utf-8", "replace").split("\n")[:-1] if text]


def unexpected(path: Path, allowed: Sequence[str] = ()) -> list[str]:
    """The lines that tell of a fault: errors, tracebacks, warnings of a library, lines that are no JSON."""
    patterns = [re.compile(pattern, re.DOTALL) for pattern in (*ALWAYS_ALLOWED, *allowed)]
    found = []
    for line in lines(path):
        text = f"{line.get('logger', '')} {line['message']} {line.get('traceback', '')}"
        if _suspicious(line) and not any(pattern.search(text) for pattern in patterns):
            found.append(f"{line['level']}: {text}")
    return found


def tail(path: Path, number: int = 25) -> str:
    """The last lines, for the message of a test that fails."""
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-number:]) if path.exists() else "no log"


def _suspicious(line: Json) -> bool:
    if line["level"] in ("error", "critical", "raw") or "traceback" in line:
        return True
    return line["level"] == "warning" and not str(line.get("logger", "")).startswith("querytask")


def _line(text: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"level": "raw", "message": text}
