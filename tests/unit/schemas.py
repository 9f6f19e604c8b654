"""The CRDs of the tree as the tests of the documentation ask them: which fields and values there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.unit.markdown import ROOT

Schema = Mapping[str, Any]

CRDS: dict[str, dict[str, Any]] = {
    crd["spec"]["names"]["kind"]: crd
    for crd in (
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "crds").glob("*.yaml"))
    )
}
KINDS = {
    word: kind
    for kind, crd in CRDS.items()
    for name in [crd["spec"]["names"]]
    for word in (name["plural"], name["singular"], *name["shortNames"])
}
"""Each word for a kind that kubectl takes."""
SELECTABLE = {
    field["jsonPath"].removeprefix(".")
    for crd in CRDS.values()
    for field in crd["spec"]["versions"][0].get("selectableFields", ())
}
"""What a field selector may ask for."""


def schema_of(kind: str) -> Schema:
    """What the API server holds objects of the kind to."""
    schema: Schema = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def unknown(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """The fields of ``value`` that the schema does not have; metadata is the API server's own."""
    if isinstance(value, list):
        for item in value:
            yield from unknown(schema.get("items", {}), item, path)
    if not isinstance(value, dict) or path == "metadata":
        return
    for key, inner in value.items():
        where = f"{path}.{key}".removeprefix(".")
        if key not in schema.get("properties", {}):
            yield where
        else:
            yield from unknown(schema["properties"][key], inner, where)


def has_field(kind: str, path: list[str]) -> bool:
    """Whether the schema of the kind has the field; lists are looked through."""
    node: Any = schema_of(kind)
    for key in path:
        node = node.get("items", node).get("properties", {}).get(key)
        if node is None:
            return False
    return True


def field_names(schema: Schema) -> Iterator[str]:
    """The names of all fields of a schema."""
    for key, inner in schema.get("properties", {}).items():
        yield key
        yield from field_names(inner.get("items", inner))


def choices(schema: Schema) -> Iterator[str]:
    """All values of the enumerations of a schema."""
    yield from schema.get("enum", ())
    for inner in (*schema.get("properties", {}).values(), schema.get("items", {})):
        yield from choices(inner) if inner else ()
