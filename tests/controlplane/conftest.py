"""A real etcd and API server for the whole run, with the CRDs in it, and a namespace of its own for each
test.

Tests of the operator have a ``site``, an installation of their own, or share the one of the whole run, whose
operator is never stopped (``shared``). Both fail a test whose objects or whose operator's log broke a rule.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from cluster.harness import ControlPlane
from tests.controlplane.kit.chart import ROOT, Chart
from tests.controlplane.kit.loop import LoopThread
from tests.controlplane.kit.operator import base_environment
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.zygote import Zygote

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
    return new_namespace(control_plane, namespace_names)


def new_namespace(plane: ControlPlane, namespace_names: Iterator[str]) -> str:
    """Create a namespace that no test has had; its name."""
    name = next(namespace_names)
    plane.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    """Where kubelets, observers and proxies run."""
    with LoopThread() as thread:
        yield thread


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The operator's chart with its default values."""
    return Chart.render()


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Where the operators of sites of their own are forked; that of ``shared`` is executed, as the image
    does."""
    folder = tmp_path_factory.mktemp("zygote")
    roots = base_environment()["PYTHONPATH"] + os.pathsep + str(ROOT)
    with Zygote(folder / "socket", base_environment() | {"PYTHONPATH": roots}, ROOT) as found:
        yield found


Sites = Callable[..., Site]


@pytest.fixture
def sites(
    control_plane: ControlPlane,
    namespace_names: Iterator[str],
    loop: LoopThread,
    chart: Chart,
    zygote: Zygote,
    tmp_path: Path,
) -> Iterator[Sites]:
    """Makes installations, each in a namespace of its own: ``sites(max_running=1)``; with ``database`` the
    history is at that URL."""
    with ExitStack() as stack:
        made: list[Site] = []

        def make(plane: ControlPlane = control_plane, database: str = "", **settings: Any) -> Site:
            name = new_namespace(plane, namespace_names)
            site = Site(plane, loop, chart, name, tmp_path / name, settings, zygote, database=database)
            made.append(stack.enter_context(closing(site.open())))
            return site

        yield make
    for site in made:
        site.check()


@pytest.fixture
def site(sites: Sites) -> Site:
    """An installation without an operator: the test starts it."""
    return sites()


@pytest.fixture(scope="session")
def _shared(
    control_plane: ControlPlane,
    namespace_names: Iterator[str],
    loop: LoopThread,
    chart: Chart,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    name = new_namespace(control_plane, namespace_names)
    settings = {"max_running": 50}
    with closing(Site(control_plane, loop, chart, name, tmp_path_factory.mktemp("shared"), settings)) as site:
        site.open().operator()
        yield site


@pytest.fixture
def shared(_shared: Site) -> Iterator[Site]:
    """The installation of the whole run, with room for many tasks; nobody stops its operator."""
    yield _shared
    _shared.check()
