"""helm, and a real API server that knows the two kinds: what the charts render must be what a cluster
takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.harness import ControlPlane
from tests.chart.helm import CHARTS, Chart, render

MONITORING = ("ServiceMonitor", "PrometheusRule")


@pytest.fixture(scope="session")
def operator_chart() -> Chart:
    """The operator's chart."""
    return Chart(CHARTS / "querytask-operator")


@pytest.fixture(scope="session")
def crds_chart() -> Chart:
    """The chart of the CRDs."""
    return Chart(CHARTS / "querytask-crds")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, crds_chart: Chart) -> Iterator[ControlPlane]:
    """A control plane with the CRDs as their chart renders them, and stand-ins for the Prometheus
    operator's kinds."""
    folder = tmp_path_factory.mktemp("chart")
    for number, crd in enumerate([*render(crds_chart), *map(_stand_in, MONITORING)]):
        (folder / f"{number}.json").write_text(json.dumps(crd))
    with ControlPlane(folder / "plane", manifests=sorted(folder.glob("*.json"))) as plane:
        yield plane


@pytest.fixture
def values_file(tmp_path: Path) -> Path:
    """Where a test may write values."""
    return tmp_path / "values.json"


def _stand_in(kind: str) -> dict[str, object]:
    """A kind of the Prometheus operator, which takes any fields."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    plural = f"{kind.lower()}s"
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    spec = {"group": "monitoring.coreos.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": spec,
    }
