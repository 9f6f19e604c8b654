"""What the API server's refusals mean to us: from an HTTP answer to an error of our own.

For the adapters that speak to it, which use different libraries and tell the same errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from querytask import errors

_KINDS: dict[int, type[errors.ClusterError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    404: errors.NotFound,
    413: errors.Invalid,
    422: errors.Invalid,
}


def translate(status: int, text: str, headers: Mapping[str, str]) -> errors.ClusterError:
    """The error for an HTTP answer of ``status`` with the body ``text``."""
    try:
        answer = json.loads(text)
        message, reason = str(answer.get("message", text)), str(answer.get("reason", ""))
    except (ValueError, AttributeError):
        message, reason = text[:500] or f"HTTP {status}", ""
    if status == 429:
        return errors.TooManyRequests(message, status, _retry_after(headers))
    if status == 409:
        return (errors.AlreadyExists if reason == "AlreadyExists" else errors.Conflict)(message, status)
    if status == 403:
        return (errors.QuotaExceeded if "exceeded quota" in message else errors.Forbidden)(message, status)
    return _KINDS.get(status, errors.Unavailable)(message, status)


def _retry_after(headers: Mapping[str, str]) -> float:
    text = next((value for key, value in headers.items() if key.lower() == "retry-after"), "1")
    try:
        return min(60.0, max(0.0, float(text)))
    except ValueError:
        return 1.0
