"""The operator as a user has it: real images on a real node, installed by helm, driven with kubectl alone.

    make test-e2e

Two installations serve the whole run: ``site``, with the flights on a volume, and ``small``, whose exports
volume is of 64 MiB and which has one slot. Both namespaces enforce restricted pods and go at the end. The
CRDs stay: they are the cluster's, and removing them would remove every task in it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from scripts import lake, release
from tests.controlplane.kit import logscan
from tests.e2e.kit import installing, report
from tests.e2e.kit.site import Site
from tests.e2e.kit.watch import Witness, watching

SITES = pytest.StashKey[list[Site]]()
WITNESSES = pytest.StashKey[list[Witness]]()
SMALL_CLASS = "querytask-small"
Temporary = pytest.TempPathFactory


@pytest.fixture(scope="session")
def cleanup(request: pytest.FixtureRequest) -> Iterator[ExitStack]:
    """What is to be undone at the very end, the last first; then every namespace must be gone."""
    with ExitStack() as stack:
        yield stack
    for made in request.session.stash.get(SITES, []):
        installing.wait_until_gone(made.kube)


@pytest.fixture(scope="session")
def site(cleanup: ExitStack, request: pytest.FixtureRequest, tmp_path_factory: Temporary) -> Iterator[Site]:
    """The installation that most tests use, with the source ``flights``."""
    made = begin(cleanup, request, "main")
    cleanup.enter_context(installing.installed(made))
    lake.load(made.kube, release.image("worker"))
    made.kube("apply", "-f", str(release.example_files()[1]))
    made.kube("wait", "querysource/flights", "--for=condition=Ready", "--timeout=60s")
    yield made
    assert unexpected_in_log(made, tmp_path_factory) == []


@pytest.fixture(scope="session")
def small(cleanup: ExitStack, request: pytest.FixtureRequest, tmp_path_factory: Temporary) -> Iterator[Site]:
    """One slot, and an exports volume that is soon full."""
    made = begin(cleanup, request, "small")
    if not installing.has_storage_class(made.kube, SMALL_CLASS):
        pytest.skip(f"the cluster has no StorageClass {SMALL_CLASS}")
    exports = {"storageClass": SMALL_CLASS, "size": "60Mi"}
    cleanup.enter_context(installing.installed(made, exports=exports, settings={"maxRunning": 1}))
    yield made
    assert unexpected_in_log(made, tmp_path_factory) == []


def unexpected_in_log(site: Site, temporary: Temporary) -> list[str]:
    """What nobody expects in the log of an operator that has done its work, whatever users did."""
    file = temporary.mktemp("log") / site.namespace
    file.write_text(site.kube("logs", site.operator))
    return logscan.unexpected(file)


def begin(cleanup: ExitStack, request: pytest.FixtureRequest, purpose: str) -> Site:
    """A namespace that is watched, reported when a test fails, and removed in the end.

    The CRDs come first: on a new cluster there would be nothing to watch.
    """
    made = Site(cleanup.enter_context(installing.namespace(purpose)))
    release.crds(made.kube)
    request.session.stash.setdefault(SITES, []).append(made)
    witness = cleanup.enter_context(watching(made.kube))
    request.session.stash.setdefault(WITNESSES, []).append(witness)
    return made


@pytest.fixture(scope="session")
def witness(site: Site, request: pytest.FixtureRequest) -> Witness:
    """What was seen in the namespace of ``site``."""
    sites = request.session.stash[SITES]
    return request.session.stash[WITNESSES][sites.index(site)]


@pytest.fixture(autouse=True)
def no_rule_is_broken(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may leave two living pods of one task, or a step that the state machine does not have."""
    yield
    faults = [fault for seen in request.session.stash.get(WITNESSES, []) for fault in seen.faults]
    for seen in request.session.stash.get(WITNESSES, []):
        seen.faults.clear()
    assert faults == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that has failed tells what the cluster looks like."""
    found = yield
    if found.failed:
        for site in item.session.stash.get(SITES, []):
            found.sections += report.sections(site)
    return found
