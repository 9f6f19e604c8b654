"""What the API server's refusals mean to us: from an HTTP answer to an error of our own.

For the adapters that speak to it, which use different libraries and tell the same errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from querytask import errors

_KINDS: dict[int, type[errors.ClusterError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    404: errors.NotFound,
}
_REFUSED = frozenset({400, 413, 422})
_KIND_OF_FAULT = re.compile(
    r"(Invalid value|Unsupported value|Required value|Forbidden|Duplicate value|Too long|Too many|Not found)"
    r'(: ("(\\.|[^"\\])*"|[^:"]*))?: (?=.)'
)
_OF_METADATA = re.compile(r"cannot unmarshal (\S+) into Go struct field ObjectMeta\.([\w.]+) of type (\S+)")
_UNKNOWN = re.compile(r'(unknown|duplicate) field "([^"]+)"')


def translate(status: int, text: str, headers: Mapping[str, str]) -> errors.ClusterError:
    """The error for an HTTP answer of ``status`` with the body ``text``."""
    answer: Mapping[str, Any] = {}
    try:
        answer = json.loads(text)
        message, reason = str(answer.get("message", text)), str(answer.get("reason", ""))
    except (ValueError, AttributeError):
        message, reason = text[:500] or f"HTTP {status}", ""
    if status in _REFUSED:
        return errors.Invalid(message, status, _causes(answer, message))
    if status == 429:
        return errors.TooManyRequests(message, status, _retry_after(headers))
    if status == 409:
        return (errors.AlreadyExists if reason == "AlreadyExists" else errors.Conflict)(message, status)
    if status == 403:
        return (errors.QuotaExceeded if "exceeded quota" in message else errors.Forbidden)(message, status)
    return _KINDS.get(status, errors.Unavailable)(message, status)


def _causes(answer: Mapping[str, Any], message: str) -> list[tuple[str, str]]:
    """The fields at fault, as the API server names them, without its words for the kind of fault."""
    try:
        told = [(str(item["field"]), str(item["message"])) for item in answer["details"]["causes"]]
    except (KeyError, TypeError):
        told = [(found[2], f"{found[1]} field") for found in _UNKNOWN.finditer(message)]
        told += [
            (f"metadata.{found[2]}", f"must be {found[3]}, not {found[1]}")
            for found in _OF_METADATA.finditer(message)
        ]
    return [(field, _KIND_OF_FAULT.sub("", sentence, count=1)) for field, sentence in told]


def _retry_after(headers: Mapping[str, str]) -> float:
    text = next((value for key, value in headers.items() if key.lower() == "retry-after"), "1")
    try:
        return min(60.0, max(0.0, float(text)))
    except ValueError:
        return 1.0
