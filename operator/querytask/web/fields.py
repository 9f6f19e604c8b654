"""Fields of an object as the API server names them, such as ``spec.parameters[0].value``: what the caller
calls them, and what was sent in them.

For refusals, which say the field and the value. The API server's own sentence holds the value only now and
then, and of a rule of the schema its type instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.alias_generators import to_snake

_PART = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_INDEX = re.compile(r"\[(\d+)\]")


def own_name(path: str) -> str:
    """As the body of a query calls it: ``parameters.0.value`` for ``spec.parameters[0].value``."""
    found = _INDEX.sub(r".\1", path.removeprefix("spec.").removeprefix("metadata."))
    return ".".join(to_snake(part) for part in found.split("."))


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """What ``document`` holds there; ``None`` where it holds nothing, or the path leads nowhere."""
    found: Any = document
    for key, name in _PART.findall(path):
        found = _inside(found, name or key)
    return found


def _inside(whole: Any, part: str) -> Any:
    if isinstance(whole, Mapping):
        return whole.get(part)
    if isinstance(whole, Sequence) and not isinstance(whole, str) and part.isdecimal():
        return whole[int(part)] if int(part) < len(whole) else None
    return None
