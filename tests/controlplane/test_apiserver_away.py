"""The API server goes away and comes back: nothing is lost, nothing is run twice, nothing is removed
meanwhile.

These tests have a control plane of their own, for they stop it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from cluster.harness import ControlPlane
from querytask import names
from tests.controlplane.conftest import CRDS, Sites
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until

AWAY_SECONDS = 10.0


@pytest.fixture(scope="module")
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose API server may be stopped; every test leaves it running."""
    with ControlPlane(tmp_path_factory.mktemp("own"), manifests=[CRDS]) as plane:
        yield plane


@pytest.fixture
def own(own_plane: ControlPlane, sites: Sites) -> Iterator[Site]:
    """An installation on that control plane."""
    yield sites(own_plane)
    own_plane.start_apiserver()


def test_what_ended_while_the_server_was_away_is_told_when_it_is_back(own: Site) -> None:
    """Ten seconds without an API server: ready turns to 503, alive stays; one task ends meanwhile and one
    goes on; both get their right end, in the pods that they had."""
    operator = own.operator()
    ends = own.submit("succeed after=3", name="ends", export={})
    own.submit("succeed after=16", name="goes-on")
    own.reaches("ends", "Running")
    own.reaches("goes-on", "Running")
    own.plane.stop_apiserver()
    gone_since = time.monotonic()
    until(lambda: operator.probe("readyz")[0] == 503, 20, what="the operator is not ready")
    assert "API server" in json.dumps(operator.probe("readyz")[1])
    until((own.directory(ends) / "_manifest.json").exists, 10, what="the result is published")
    until(lambda: time.monotonic() - gone_since > AWAY_SECONDS, AWAY_SECONDS + 1)
    assert operator.probe("healthz")[0] == 200
    own.plane.start_apiserver()
    assert own.succeeds("ends", timeout=30)["attempt"] == 1
    assert own.succeeds("goes-on", timeout=30)["attempt"] == 1
    until(operator.ready, 20, what="the operator is ready again")
    assert len(own.kubelet.played) == 2


def test_the_lease_outlives_an_outage_that_is_longer_than_itself(own: Site) -> None:
    """Nobody else can have taken the lease while nobody could ask for it: the operator goes on."""
    operator = own.operator(lease_seconds=3)
    own.submit("succeed", name="before")
    own.succeeds("before")
    own.plane.stop_apiserver()
    always(lambda: operator.alive, 6.0, what="the operator goes on")
    own.plane.start_apiserver()
    own.submit("succeed", name="after")
    own.succeeds("after", timeout=30)
    assert operator.alive


def test_an_operator_that_starts_without_a_server_waits_for_it(own: Site) -> None:
    """It is alive, not ready, says why, and works when the server is there."""
    own.submit("succeed", name="waits")
    own.plane.stop_apiserver()
    operator = own.operator(ready=False)
    until(lambda: operator.port is not None, 30, what="the operator listens")
    until(lambda: operator.said("lease"), 20, what="it says what it waits for")
    assert operator.probe("readyz")[0] == 503
    assert operator.probe("healthz")[0] == 200
    own.plane.start_apiserver()
    operator.wait_ready()
    own.succeeds("waits", timeout=30)


def test_what_expires_meanwhile_goes_and_is_told_afterwards(own: Site) -> None:
    """An export whose time is over goes by what the history knows; its object is told when it can be."""
    own.operator()
    task = own.submit("succeed", name="expires", export={"retention": "4s"})
    own.succeeds("expires")
    own.row(task, "Succeeded")
    own.plane.stop_apiserver()
    until(lambda: not own.directory(task).exists(), 15, what="the file is gone", told=own.story)
    assert (own.history.export(task["metadata"]["uid"]) or {})["state"] == "Available"
    own.plane.start_apiserver()
    own.sees(lambda: own.task("expires")["status"]["export"]["state"] == "Expired", "the object is told")
    until(
        lambda: (own.history.export(task["metadata"]["uid"]) or {})["state"] == "Expired",
        what="so is the row",
    )


def test_a_task_cancelled_just_before_the_outage_is_cancelled_after_it(own: Site) -> None:
    """The stop reaches its end as soon as everybody can be asked again."""
    operator = own.operator()
    task = own.submit("hang stop=1", name="cancelled")
    own.reaches("cancelled", "Running")
    own.cancel("cancelled")
    own.reaches("cancelled", "Cancelling")
    own.plane.stop_apiserver()
    until(lambda: operator.probe("readyz")[0] == 503, 20, what="the operator has noticed")
    own.plane.start_apiserver()
    own.reaches("cancelled", "Cancelled", timeout=30)
    own.no_pods(task)
    assert own.get("pods", names.pod_name(task["metadata"]["uid"], 1)) is None
