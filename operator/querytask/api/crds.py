"""Writes the CRDs from the models, into ``crds/`` and into their chart: ``python -m querytask.api.crds``
writes, with ``--check`` it only compares.

Run by ``make crds``; a test compares, so the models stay the only source. The chart of the CRDs carries the
same definitions.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from querytask import names
from querytask.api import structural
from querytask.api.fields import Model
from querytask.api.source import QuerySource
from querytask.api.task import QueryTask

HEADER = "# Made by `make crds` from operator/querytask/api. Do not edit.\n"
PLACES = (Path("crds"), Path("charts/querytask-crds/files"))
Column = dict[str, Any]


def column(name: str, kind: str, path: str, text: str, wide: bool = False) -> Column:
    """A printer column; a wide one shows with ``-o wide`` only."""
    return {"name": name, "type": kind, "jsonPath": path, "description": text, "priority": int(wide)}


TASK_COLUMNS = [
    column("Phase", "string", ".status.phase", "Where the task is."),
    column("Progress", "integer", ".status.progress", "Percentage of the work that is done."),
    column("Rows", "integer", ".status.result.rows", "Number of rows of the result."),
    column("Export", "string", ".status.export.state", "What became of the exported file."),
    column("Duration", "string", ".status.duration", "How long the query ran."),
    column("Attempt", "integer", ".status.attempt", "Number of the attempt.", wide=True),
    column("Reason", "string", ".status.reason", "Why the task is in its phase.", wide=True),
    column("Pod", "string", ".status.podName", "Pod of the attempt.", wide=True),
    column("Age", "date", ".metadata.creationTimestamp", "Time since the task was created."),
]
SOURCE_COLUMNS = [
    column(
        "Ready",
        "string",
        '.status.conditions[?(@.type=="Ready")].status',
        "Whether tasks can use the source.",
    ),
    column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why, or why not."),
    column("Claim", "string", ".spec.volume.claimName", "The claim that holds the files."),
    column("Path", "string", ".spec.volume.subPath", "Directory in the claim.", wide=True),
    column("Age", "date", ".metadata.creationTimestamp", "Time since the source was created."),
]


class _Plain(yaml.SafeDumper):
    """Writes a value that stands twice out twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never an anchor."""
        return True


def task_crd() -> dict[str, Any]:
    """The definition of QueryTask."""
    version = _version(QueryTask, TASK_COLUMNS) | {
        "selectableFields": [{"jsonPath": ".status.phase"}, {"jsonPath": ".spec.owner"}]
    }
    return _crd(names.TASK_KIND, names.TASK_PLURAL, "qt", version)


def source_crd() -> dict[str, Any]:
    """The definition of QuerySource."""
    return _crd(names.SOURCE_KIND, names.SOURCE_PLURAL, "qs", _version(QuerySource, SOURCE_COLUMNS))


def files() -> dict[str, str]:
    """The text of every file, by its name."""
    definitions = (task_crd(), source_crd())
    return {f"{crd['metadata']['name']}.yaml": HEADER + dump(crd) for crd in definitions}


def dump(document: dict[str, Any]) -> str:
    """YAML with the keys in their own order, one line a sentence."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def _version(model: type[Model], columns: list[Column]) -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": _root(model)},
    }


def _root(model: type[Model]) -> dict[str, Any]:
    """The schema of a whole object: a CRD may not say more of ``metadata`` than that it is an object."""
    schema = structural.schema(model)
    envelope = {
        "apiVersion": {
            "type": "string",
            "description": "Version of the schema of this object.",
            "maxLength": 63,
        },
        "kind": {"type": "string", "description": "Kind of this object.", "maxLength": 63},
        "metadata": {"type": "object"},
    }
    body = {name: child for name, child in schema["properties"].items() if name != "metadata"}
    body["status"].pop("default", None)
    return schema | {"properties": envelope | body, "required": ["spec"]}


def _crd(kind: str, plural: str, short: str, version: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
            },
            "versions": [version],
        },
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` name those that differ; 1 when one does."""
    parser = argparse.ArgumentParser(prog="querytask.api.crds", description="Write the CRDs from the models.")
    parser.add_argument(
        "directories",
        type=Path,
        nargs="*",
        default=PLACES,
        metavar="DIRECTORY",
        help="where they go; crds and the chart of the CRDs, seen from the top of the tree, if not said",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    chosen = parser.parse_args(arguments)
    wanted = {directory / name: text for directory in chosen.directories for name, text in files().items()}
    stale = [path for path, text in wanted.items() if not _same(path, text)]
    for path in stale:
        if chosen.check:
            sys.stderr.write(f"{path} must be made again: run make crds\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return int(chosen.check and bool(stale))


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
