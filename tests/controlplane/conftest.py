"""A real etcd and API server for the whole run, with the CRDs in it, and a namespace of its own for each
test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.harness import ControlPlane

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane that tests share; whoever stops its API server needs one of their own."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), manifests=[CRDS]) as plane:
        yield plane


@pytest.fixture(scope="session")
def namespace_names() -> Iterator[str]:
    """Names that no test of this run has had."""
    return (f"test-{number}" for number in itertools.count(1))


@pytest.fixture
def namespace(control_plane: ControlPlane, namespace_names: Iterator[str]) -> str:
    """A new namespace. It stays: the whole server goes at the end, and sooner than a namespace would."""
    name = next(namespace_names)
    control_plane.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name
