"""How often the operator writes: few times for each task, and never when nothing has changed."""

from __future__ import annotations

import pytest

from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


@pytest.mark.parametrize(
    ("scene", "phase", "most"), [("succeed after=0.5", "Succeeded", 5), ("fail after=0.5", "Failed", 5)]
)
def test_a_task_costs_at_most_five_writes(scene: str, phase: str, most: int, site: Site) -> None:
    """Events, progress and a deletion by TTL are not counted; at rest there is none at all."""
    proxy = site.proxy()
    operator = site.operator(kubeconfig=proxy.own_kubeconfig)
    task = site.submit(scene, name="task", export={})
    site.reaches("task", phase)
    site.no_pods(task)
    before = operator.metric("querytask_resync_timestamp_seconds")
    until(lambda: operator.metric("querytask_resync_timestamp_seconds") > before, what="a resync has gone by")
    told = [str(call) for call in proxy.writes()]
    assert len(told) <= most, told


def test_a_cancellation_costs_at_most_four_writes_more(site: Site) -> None:
    """From the request to the end, with the pod's deletion."""
    proxy = site.proxy()
    site.operator(kubeconfig=proxy.own_kubeconfig)
    task = site.submit("hang", name="task")
    site.reaches("task", "Running")
    until(lambda: [c for c in proxy.writes() if c.phase == "Running"], what="it is told to run")
    before = len(proxy.writes())
    site.cancel("task")
    site.ends("task", "Cancelled", "CancelRequested")
    site.no_pods(task)
    told = [str(call) for call in proxy.writes()[before:]]
    assert len(told) <= 4, told
