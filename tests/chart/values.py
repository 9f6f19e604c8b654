"""Reads a chart's `values.yaml` as its readers do: each value with its default and the `# --` comment
above it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Value:
    """One documented value: its path, such as `exports.size`, its default as JSON and its meaning."""

    path: str
    default: str
    text: str


def documented(file: Path) -> list[Value]:
    """Every value that has a comment, in the order of the file."""
    content = file.read_text(encoding="utf-8")
    defaults = yaml.safe_load(content)
    return [Value(path, json.dumps(_at(defaults, path)), text) for path, text in _comments(content)]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The paths of everything that is not an object with fields of its own."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    else:
        yield path


def table(readme: Path) -> list[Value]:
    """The rows of the values' table of a README."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| `(.+?)` \| (.+) \|$", readme.read_text(encoding="utf-8"), re.MULTILINE
    )
    return [Value(*row) for row in rows]


def _comments(content: str) -> Iterator[tuple[str, str]]:
    parents: list[tuple[int, str]] = []
    text: list[str] = []
    for line in content.splitlines():
        indent, stripped = len(line) - len(line.lstrip()), line.strip()
        if stripped.startswith("# --"):
            text = [stripped.removeprefix("# --").strip()]
        elif stripped.startswith("#") and text:
            text.append(stripped.removeprefix("#").strip())
        elif match := re.match(r"(\w+):", stripped):
            parents = [*(parent for parent in parents if parent[0] < indent), (indent, match[1])]
            if text:
                yield ".".join(name for _, name in parents), " ".join(text)
            text = []


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values
