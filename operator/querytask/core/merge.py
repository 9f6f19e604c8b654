"""The smallest JSON merge patch (RFC 7386) from one status to another: only what differs is sent, and nothing
where nothing does."""

from __future__ import annotations

from typing import Any


def patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What to merge into ``old`` so that it becomes ``new``; empty when they are the same. Lists are replaced
    whole."""
    result: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if value == before and key in old:
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            result[key] = patch(before, value)
        else:
            result[key] = value
    return result
