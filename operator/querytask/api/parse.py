"""From the raw JSON of the cluster to a model. The one place where pydantic's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from querytask.api.fields import Model
from querytask.api.source import QuerySource
from querytask.api.task import QueryTask
from querytask.errors import ObjectInvalid

M = TypeVar("M", bound=Model)


def task(raw: dict[str, Any]) -> QueryTask:
    """The QueryTask of ``raw``; raises ``ObjectInvalid``, which names the object, every field at fault and
    its value."""
    return _read(QueryTask, raw)


def source(raw: dict[str, Any]) -> QuerySource:
    """The QuerySource of ``raw``; raises ``ObjectInvalid``."""
    return _read(QuerySource, raw)


def _read(kind: type[M], raw: dict[str, Any]) -> M:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        metadata = raw.get("metadata") or {}
        name = "/".join(str(metadata[key]) for key in ("namespace", "name") if key in metadata)
        raise ObjectInvalid(f"{kind.__name__} {name}: {'; '.join(_sentences(error))}") from error


def _sentences(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=True):
        field = ".".join(str(part) for part in item["loc"]) or "the object"
        text = item["msg"].removeprefix("Value error, ")
        value = "" if item["type"] in ("missing", "value_error") else f', not "{str(item["input"])[:80]}"'
        yield f"{field}: {text}{value}"
