"""Runs helm, and looks through what it renders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
NAMESPACE, RELEASE = "analytics", "qt"
Json = dict[str, Any]


class Refused(Exception):
    """helm refused the values; the text is what it said."""


@dataclass(frozen=True)
class Chart:
    """A chart of this tree."""

    path: Path

    @property
    def scenarios(self) -> list[Path]:
        """The installations that are tried: `ci/<name>-values.yaml`."""
        return sorted(self.path.glob("ci/*-values.yaml"))

    def values(self) -> Json:
        """The default values."""
        return dict(yaml.safe_load((self.path / "values.yaml").read_text(encoding="utf-8")))


def program() -> str:
    """The path of helm: `HELM`, what `make setup` has made, or the one on the path."""
    made = ROOT / ".build" / "bin" / "helm"
    found = os.environ.get("HELM") or (str(made) if made.exists() else shutil.which("helm"))
    assert found, "helm must be there: run `make setup`"
    return found


def run(*arguments: str | Path) -> str:
    """What helm prints; raises ``Refused`` when it fails."""
    command = [program(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def render(
    chart: Chart, values: Json | Path | None = None, release: str = RELEASE, namespace: str = NAMESPACE
) -> list[Json]:
    """The objects of an installation with ``values``: a file, or an object over the defaults."""
    options: list[str | Path] = []
    if isinstance(values, Path):
        options = ["--values", values]
    elif values:
        options = [
            part for name, value in values.items() for part in ("--set-json", f"{name}={json.dumps(value)}")
        ]
    text = run("template", release, chart.path, "--namespace", namespace, *options)
    return [item for item in yaml.safe_load_all(text) if item]


def only(objects: Iterable[Json], kind: str, name: str = "") -> Json:
    """The one object of ``kind``, or the one whose name ends in ``name``."""
    found = [item for item in objects if item["kind"] == kind and item["metadata"]["name"].endswith(name)]
    assert len(found) == 1, [item["metadata"]["name"] for item in found]
    return found[0]


def kinds(objects: Iterable[Json]) -> list[str]:
    """The kinds of the objects, sorted."""
    return sorted(item["kind"] for item in objects)


def pod_spec(objects: Iterable[Json]) -> Json:
    """The spec of the operator's pod."""
    return dict(only(objects, "StatefulSet")["spec"]["template"]["spec"])


def container(objects: Iterable[Json], name: str = "operator") -> Json:
    """The operator's container, or the other one."""
    (found,) = [item for item in pod_spec(objects)["containers"] if item["name"] == name]
    return dict(found)


def environment(objects: Iterable[Json], name: str = "operator") -> dict[str, str]:
    """A container's variables, those from the downward API and from Secrets with what they point at."""
    return {
        item["name"]: item["value"] if "value" in item else _source(item["valueFrom"])
        for item in container(objects, name)["env"]
    }


def _source(found: Json) -> str:
    if "secretKeyRef" in found:
        return "secret {name} {key}".format(**found["secretKeyRef"])
    return str(found["fieldRef"]["fieldPath"])
