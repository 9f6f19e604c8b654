"""One operator at a time: the second one waits, is not ready, says for whom, and takes over when it may."""

from __future__ import annotations

import re
import time

from querytask import names
from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until


def _waits(operator: OperatorProcess, check: str, pattern: str) -> None:
    until(lambda: operator.port is not None, 30, what="the second operator listens", told=operator.story)

    def told() -> bool:
        status, body = operator.probe("readyz")
        return status == 503 and re.search(pattern, body.get("checks", {}).get(check, "")) is not None

    until(told, 20, what=f"it is not ready, because of its {check}", told=operator.story)
    assert operator.probe("healthz")[0] == 200


def test_a_second_operator_on_the_same_history_waits_for_the_lock(site: Site) -> None:
    """It names the holder, writes nothing, and takes over when the first one is gone, even by SIGKILL."""
    first = site.operator()
    second = site.operator(ready=False, pod_name="querytask-operator-1")
    _waits(second, "history", "querytask-operator-0")
    task = site.submit("succeed after=4", name="handed-over")
    site.reaches("handed-over", "Running")
    first.kill()
    second.wait_ready()
    site.succeeds("handed-over")
    assert len(site.history.attempts(task["metadata"]["uid"])) == 1


def test_a_second_release_in_the_namespace_waits_for_the_lease(site: Site) -> None:
    """With a history of its own it is the lease that holds it off; a lease that is given back is taken at
    once, one that ran out after its time."""
    first = site.operator(lease_seconds=4)
    other = site.folder / "other-history"
    other.mkdir()
    second = site.operator(ready=False, history_dir=other, pod_name="other-0", lease_seconds=4)
    _waits(second, "lease", "querytask-operator-0")
    site.submit("succeed", name="by-the-first")
    site.succeeds("by-the-first")
    first.kill()
    killed = time.monotonic()
    second.wait_ready()
    assert time.monotonic() - killed > 2
    lease = site.get("leases", names.LEASE_NAME) or {}
    assert lease["spec"]["holderIdentity"].startswith("other-0")
    site.submit("succeed", name="by-the-second")
    site.succeeds("by-the-second")


def test_a_lease_that_is_given_back_is_taken_at_once(site: Site) -> None:
    """An orderly end lets the next one in without waiting for the lease to run out."""
    first = site.operator(lease_seconds=60)
    assert first.stop() == 0
    started = time.monotonic()
    site.operator(lease_seconds=60)
    assert time.monotonic() - started < 20


def test_an_operator_whose_lease_was_taken_gives_up(site: Site) -> None:
    """Better no operator than two: it ends with 1 and says why, without a traceback."""
    operator = site.operator()
    operator.allowed.append("gives up: the lease")
    lease = site.get("leases", names.LEASE_NAME) or {}
    later = lease["spec"] | {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3600}
    site.patch("leases", names.LEASE_NAME, {"spec": later})
    until(lambda: not operator.alive, 40, what="the operator has ended", told=operator.story)
    assert operator.process.returncode == 1
    (line,) = operator.said("gives up")
    assert "somebody-else" in line["message"]
    assert "traceback" not in line


def test_a_frozen_operator_wakes_up_to_find_itself_replaced(site: Site) -> None:
    """SIGSTOP for longer than the lease, and another has taken over: the first one writes nothing more."""
    first = site.operator(lease_seconds=3)
    first.allowed.append("gives up: the lease")
    other = site.folder / "other-history"
    other.mkdir()
    second = site.operator(ready=False, history_dir=other, pod_name="other-0", lease_seconds=3)
    _waits(second, "lease", "querytask-operator-0")
    site.submit("succeed after=12", name="long")
    site.reaches("long", "Running")
    first.freeze()
    second.wait_ready()
    first.thaw()
    until(lambda: not first.alive, 40, what="the first one has ended", told=first.story)
    always(lambda: second.alive, 0.5)
    site.succeeds("long", timeout=30)
    assert len(site.kubelet.played) == 1
