"""From pydantic's JSON Schema to the structural schema that a CRD takes: no references, no titles, no null,
every keyword known.

A field that may be absent is simply not required, so ``anyOf: [X, null]`` becomes ``X``; integers are
``int64``; a description is one paragraph, however its docstring was broken into lines.
"""

from __future__ import annotations

from typing import Any

from querytask.api.fields import Model

_ORDER = ("description", "type", "format", "default", "enum")
"""Keywords that stand first; the others follow by name, so that the same models always give the same text."""


def schema(model: type[Model]) -> dict[str, Any]:
    """The structural schema of ``model``, ready to be written."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    cleaned: dict[str, Any] = _clean(raw, raw.get("$defs", {}))
    return cleaned


def _clean(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    node = _merged(_resolved(node, definitions), definitions)
    result = {key: value for key, value in node.items() if key not in ("$defs", "title")}
    if "properties" in node:
        result["properties"] = {
            name: _clean(child, definitions) for name, child in node["properties"].items()
        }
    if isinstance(node.get("items"), dict):
        result["items"] = _clean(node["items"], definitions)
    if result.get("default", "") in (None, []):
        del result["default"]
    if result.get("type") == "integer":
        result["format"] = "int64"
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    return _ordered(result)


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """``node`` with what it refers to written in; what it says itself wins."""
    if "$ref" not in node:
        return node
    target = definitions[node["$ref"].rpartition("/")[2]]
    return {**_resolved(target, definitions), **{key: value for key, value in node.items() if key != "$ref"}}


def _merged(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """``node`` without its null alternative."""
    arms = [arm for arm in node.get("anyOf", ()) if arm != {"type": "null"}]
    if len(arms) != 1:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**_resolved(arms[0], definitions), **rest}


def _ordered(node: dict[str, Any]) -> dict[str, Any]:
    first = {key: node[key] for key in _ORDER if key in node}
    return first | {key: node[key] for key in sorted(node) if key not in first}
