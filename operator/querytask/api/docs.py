"""Writes the reference of the objects, ``docs/reference/api.md``, from the same schema that the API server
gets.

    python -m querytask.api.docs [--check]

Run by ``make crds``; a test compares. One table for each object, so that a page of Markdown reads like
``kubectl explain`` and says the bounds, too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from querytask import names
from querytask.api import crds, durations, quantities
from querytask.api.fields import MEASURED_PATTERN, MOST_INTEGER

Schema = dict[str, Any]
PLACE = Path("docs/reference/api.md")
COLUMNS = "| Field | Type | Default | Meaning |\n| --- | --- | --- | --- |\n"

INTRODUCTION = f"""\
<!-- Made by `make crds` from operator/querytask/api. Do not edit. -->
# Reference of the objects

API version `{names.API_VERSION}`. The same texts are in `kubectl explain querytask.spec`.

The API server checks everything on this page before anything is stored, and refuses an object with a
sentence that names the field. A field that is not marked as required may be left out; where a default is
given, the API server writes it into the stored object.

**Durations** are {durations.EXAMPLES}, quoted or not. The units are `w`, `d`, `h`, `m` and `s`, the
larger before the smaller, each number with at most three decimals.

**Quantities** are those of Kubernetes: {quantities.EXAMPLES}.

**Times** are RFC 3339 in UTC. **Measured times** (`…Seconds`) are decimal numbers of seconds in a string,
such as `"2.345"`, because the Kubernetes API has no floating-point numbers.
"""

TASK_EXAMPLE = """\
```yaml
apiVersion: querytask.dev/v1alpha1
kind: QueryTask
metadata:
  name: late-flights
spec:
  sql: |
    SELECT carrier, count(*) AS late
    FROM 'flights/flights.parquet' WHERE dep_delay > $minutes
    GROUP BY ALL ORDER BY late DESC
  parameters:
    - {name: minutes, type: INTEGER, value: "60"}
  sources: [flights]
  owner: data-team
  export: {format: Parquet, compression: Zstd, fileName: late-flights, retention: 7d}
  resources: {cpu: "2", memory: 2Gi, spill: 8Gi}
  timeout: 10m
```
"""
SOURCE_EXAMPLE = """\
```yaml
apiVersion: querytask.dev/v1alpha1
kind: QuerySource
metadata:
  name: flights
spec:
  volume: {claimName: lake, subPath: flights}
```
"""


def page() -> str:
    """The whole page."""
    task, source = crds.task_crd(), crds.source_crd()
    return "\n".join([INTRODUCTION, *_kind(task, TASK_EXAMPLE), *_kind(source, SOURCE_EXAMPLE)])


def _kind(crd: Schema, example: str) -> Iterator[str]:
    spec, version = crd["spec"], crd["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    kind, short = spec["names"]["kind"], spec["names"]["shortNames"][0]
    yield f"## {kind}\n\n{root['description']}\n\nShort name `{short}`; namespaced.\n"
    yield example
    yield from _objects(kind, root["properties"]["spec"], "spec")
    yield from _changes(root)
    yield from _objects(kind, root["properties"]["status"], "status")
    yield _shown(version)


def _objects(kind: str, node: Schema, path: str) -> Iterator[str]:
    """A section for an object, then for each object in it."""
    required = set(node.get("required", ()))
    rows = [_row(kind, path, name, child, name in required) for name, child in node["properties"].items()]
    yield f"### {kind}: {path}\n\n{node['description']}\n\n{COLUMNS}{''.join(rows)}"
    if rules := list(_rules(node)):
        yield "".join(f"- {rule}.\n" for rule in rules)
    for name, child in node["properties"].items():
        inner = child.get("items", child)
        if inner.get("properties"):
            yield from _objects(kind, inner, f"{path}.{name}" + ("[]" if "items" in child else ""))


def _row(kind: str, path: str, name: str, node: Schema, required: bool) -> str:
    default = "required" if required else _default(node)
    text = " ".join([node["description"], *_limits(node)]).replace("|", "\\|")
    return f"| `{name}` | {_type(kind, f'{path}.{name}', node)} | {default} | {text} |\n"


def _default(node: Schema) -> str:
    if "default" not in node or node["default"] == {}:
        return ""
    value = node["default"]
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _type(kind: str, path: str, node: Schema) -> str:
    if node.get("type") == "array":
        return f"list of {_type(kind, f'{path}[]', node['items'])}"
    if node.get("properties"):
        return f"[object](#{_anchor(f'{kind}: {path}')})"
    if node.get("x-kubernetes-int-or-string"):
        return "duration" if "must be a duration" in _sentences(node)[0] else "quantity"
    if _measured(node):
        return "measured time"
    return "time" if node.get("format") == "date-time" else str(node["type"])


def _anchor(heading: str) -> str:
    """As the common renderers of Markdown make it: lower case, blanks to dashes, everything else left out."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _limits(node: Schema) -> Iterator[str]:
    """The bounds of a field and of the items of a list, each as a sentence."""
    if node.get("properties") or _measured(node):
        return
    sentences = [
        text for text in _sentences(node) if not text.startswith(("must be a duration", "must be a quan"))
    ]
    if "enum" in node:
        yield f"One of {', '.join(f'`{value}`' for value in node['enum'])}."
    elif node.get("type") == "string" and "maxLength" in node and " bytes" not in "".join(sentences):
        yield f"At most {node['maxLength']} characters."
    if node.get("type") == "integer" and (node["minimum"], node["maximum"]) != (0, MOST_INTEGER):
        yield f"From {node['minimum']} to {node['maximum']}."
    if node.get("type") == "array":
        yield f"At most {node['maxItems']} items."
        yield from (f"Each: {sentence[0].lower()}{sentence[1:]}" for sentence in _limits(node["items"]))
    if "pattern" in node:
        yield f"Must match `{node['pattern']}`."
    yield from (f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def _measured(node: Schema) -> bool:
    return node.get("pattern") == MEASURED_PATTERN


def _rules(node: Schema) -> Iterator[str]:
    """The rules between the fields of an object, each with the field at fault in front of it."""
    for rule in node.get("x-kubernetes-validations", ()):
        path, text = rule.get("fieldPath", "").removeprefix("."), rule["message"]
        yield f"`{path}`: {text}" if path else f"{text[0].upper()}{text[1:]}"


def _sentences(node: Schema) -> list[str]:
    return [rule["message"] for rule in node.get("x-kubernetes-validations", ())]


def _changes(root: Schema) -> Iterator[str]:
    """What the rules at the root say."""
    sentences = _sentences(root)
    if sentences:
        yield "### Rules of the whole object\n\n" + "".join(f"- {sentence}.\n" for sentence in sentences)


def _shown(version: Schema) -> str:
    columns = version["additionalPrinterColumns"]
    rows = "".join(
        f"| {item['name']} | `{item['jsonPath']}` | {'`-o wide`' if item['priority'] else 'always'} |\n"
        for item in columns
    )
    selectable = [item["jsonPath"].removeprefix(".") for item in version.get("selectableFields", ())]
    text = f"### What `kubectl get` shows\n\n| Column | Field | Shown |\n| --- | --- | --- |\n{rows}"
    return text + (f"\nField selectors: `{'`, `'.join(selectable)}`.\n" if selectable else "")


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` say that it differs; 1 when it does."""
    parser = argparse.ArgumentParser(
        prog="querytask.api.docs", description="Write the reference of the objects."
    )
    parser.add_argument(
        "file", type=Path, nargs="?", default=PLACE, help=f"where it goes; {PLACE} if not said"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file differs")
    chosen = parser.parse_args(arguments)
    if chosen.file.exists() and chosen.file.read_text(encoding="utf-8") == page():
        return 0
    if chosen.check:
        sys.stderr.write(f"{chosen.file} must be made again: run make crds\n")
        return 1
    chosen.file.parent.mkdir(parents=True, exist_ok=True)
    chosen.file.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {chosen.file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
