"""The network and the API server at their worst: refusals, lost answers, broken, silent and lying streams.

Every fault is injected by a real proxy. Whatever happens, the task gets the end that it would have had, with
one pod an attempt, and the observer sees no rule broken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from cluster.harness import ControlPlane
from querytask import names
from tests.controlplane.conftest import Sites, new_namespace
from tests.controlplane.kit.calls import Call
from tests.controlplane.kit.chart import Chart
from tests.controlplane.kit.faults import Act, Answer, Fits, Lose, Rule, Stale, Stream
from tests.controlplane.kit.loop import LoopThread
from tests.controlplane.kit.proxy import Proxy
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until
from tests.controlplane.kit.zygote import Zygote

ANSWERS: dict[str, Act] = {
    "conflict": Answer(409, "Conflict"),
    "already-exists": Answer(409, "AlreadyExists"),
    "invalid": Answer(422, "Invalid"),
    "too-many-requests": Answer(429, "TooManyRequests", retry_after=1),
    "internal-error": Answer(500, "InternalError"),
    "unavailable": Answer(503, "ServiceUnavailable"),
    "lost-before": Lose(after=False),
    "lost-after": Lose(after=True),
    "late-and-lost": Lose(after=True, seconds=1.0),
}
WRITES = {
    "create-pod": ("create", "pods", "", ""),
    "queued": ("patch", "querytasks", "status", "Queued"),
    "running": ("patch", "querytasks", "status", "Running"),
    "succeeded": ("patch", "querytasks", "status", "Succeeded"),
    "delete-pod": ("delete", "pods", "", ""),
    "event": ("create", "events", "", ""),
}
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def behind(
    control_plane: ControlPlane,
    namespace_names: Iterator[str],
    loop: LoopThread,
    chart: Chart,
    zygote: Zygote,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Site, Proxy]]:
    """An operator behind a proxy, with patience for pods that are refused."""
    name = new_namespace(control_plane, namespace_names)
    settings = {"max_running": 50, "start_deadline_seconds": 60}
    site = Site(control_plane, loop, chart, name, tmp_path_factory.mktemp("behind"), settings, zygote).open()
    proxy = site.proxy()
    site.operator(kubeconfig=proxy.own_kubeconfig)
    yield site, proxy
    site.close()


def _about(task: str, uid: str, write: str) -> Fits:
    verb, resource, part, phase = WRITES[write]

    def fits(call: Call) -> bool:
        if (call.verb, call.resource, call.part) != (verb, resource, part) or phase not in ("", call.phase):
            return False
        return task == call.name or uid in str(call.body.get("metadata", {}).get("name", "")) + call.name

    return fits


@pytest.mark.parametrize("fault", ANSWERS)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_fails_is_made_good(write: str, fault: str, behind: tuple[Site, Proxy]) -> None:
    """Refused twice, or lost before or after it took effect: the task succeeds, in one pod, with one row."""
    site, proxy = behind
    name = f"task-{next(NUMBERS)}"
    uids: list[str] = []
    rule = proxy.rule(
        Rule(lambda call: bool(uids) and _about(name, uids[0], write)(call), ANSWERS[fault], times=2)
    )
    hold = proxy.rule(Rule(lambda call: not uids and name in str(call.body), Answer(503), times=99))
    # An operator that is late may see the end first, and never writes Running.
    seconds = 3 if write == "running" else 0.3
    task = site.submit(f"succeed after={seconds}", name=name, export={})
    uids.append(task["metadata"]["uid"])
    site.succeeds(name, timeout=30)
    site.no_pods(task)
    assert rule.used > 0, "the fault has struck"
    assert len([pod for pod, _ in site.kubelet.played if uids[0] in pod]) == 1
    assert [row["reason"] for row in site.history.attempts(uids[0])] == ["Completed"]
    assert site.row(task, "Succeeded")["reason"] == "Completed"
    proxy.rules.remove(rule)
    proxy.rules.remove(hold)
    site.check()


@pytest.mark.parametrize(
    "fault", ["conflict", "too-many-requests", "unavailable", "lost-before", "lost-after"]
)
def test_a_stop_that_fails_is_made_good(fault: str, behind: tuple[Site, Proxy]) -> None:
    """The patch that stops a pod is refused or lost: the task is Cancelled all the same."""
    site, proxy = behind
    name = f"task-{next(NUMBERS)}"
    task = site.submit("hang", name=name)
    site.reaches(name, "Running")
    uid = task["metadata"]["uid"]
    rule = proxy.rule(
        Rule(
            lambda call: call.verb == "patch" and call.resource == "pods" and uid in call.name,
            ANSWERS[fault],
            times=2,
        )
    )
    site.cancel(name)
    site.ends(name, "Cancelled", "CancelRequested", timeout=30)
    assert rule.used > 0
    site.no_pods(task)
    proxy.rules.remove(rule)
    site.check()


STREAMS = {
    "drop": Stream("drop"),
    "double": Stream("double"),
    "delay": Stream("delay", seconds=1.5),
    "swap": Stream("swap"),
    "close": Stream("close"),
    "gone": Stream("gone"),
    "silence": Stream("silence"),
}


@pytest.mark.parametrize("fault", STREAMS)
@pytest.mark.parametrize("resource", [names.TASK_PLURAL, "pods"])
def test_a_watch_that_lies_harms_nothing(resource: str, fault: str, sites: Sites) -> None:
    """Every stream of one kind loses, repeats, delays or swaps its events, breaks or falls silent: one task
    succeeds, one is retried, one is cancelled, one is deleted, each as ever."""
    site = sites()
    proxy = site.proxy()
    proxy.rule(
        Rule(lambda call: call.verb == "watch" and call.resource == resource, STREAMS[fault], times=10_000)
    )
    site.operator(kubeconfig=proxy.own_kubeconfig)
    good = site.submit("succeed after=0.3", name="good")
    twice = site.submit(
        "exit code=137", "succeed after=0.2", name="twice", retry={"limit": 1, "backoff": "1s"}
    )
    stopped = site.submit("hang", name="stopped")
    deleted = site.submit("hang", name="deleted")
    site.reaches("stopped", "Running")
    site.cancel("stopped")
    site.reaches("deleted", "Running")
    site.delete(names.TASK_PLURAL, "deleted")
    site.succeeds("good")
    assert site.succeeds("twice")["attempt"] == 2
    site.ends("stopped", "Cancelled", "CancelRequested")
    site.row(deleted, "Deleted")
    for task in (good, twice, stopped, deleted):
        site.no_pods(task)
    assert len(site.kubelet.played) == 5


@pytest.mark.parametrize("lists", [1, 4, 8])
def test_an_operator_that_sees_old_lists_repeats_nothing(lists: int, sites: Sites) -> None:
    """After a restart the first lists are those of an empty namespace: what runs goes on, what has ended
    stays."""
    site = sites()
    proxy = site.proxy()
    first = site.operator(kubeconfig=proxy.own_kubeconfig)
    done = site.submit("succeed", name="done")
    site.succeeds("done")
    site.submit("succeed after=6", name="runs")
    site.reaches("runs", "Running")
    first.stop()
    rule = proxy.rule(Rule(lambda call: call.verb == "list", Stale(), times=lists))
    site.operator(kubeconfig=proxy.own_kubeconfig)
    until(lambda: rule.used == lists, what="all old lists were seen", told=site.story)
    assert site.succeeds("runs")["attempt"] == 1
    assert site.row(done, "Succeeded")["object_deleted_at"] is None
    assert len(site.kubelet.played) == 2


def test_nothing_is_swept_when_nobody_can_say_which_tasks_live(sites: Sites) -> None:
    """The API server answers everything but the collector's question: a left-over directory stays."""
    site = sites(orphan_grace_seconds=0, finished_scan_seconds=600)
    proxy = site.proxy()
    orphan = site.exports / site.namespace / "00000000-0000-0000-0000-000000000001" / "1"
    orphan.mkdir(parents=True)
    rule = proxy.rule(
        Rule(
            lambda call: (
                call.verb == "list"
                and call.resource == names.TASK_PLURAL
                and "fieldSelector" not in call.query
            ),
            Answer(503, "ServiceUnavailable"),
            times=10_000,
        )
    )
    operator = site.operator(kubeconfig=proxy.own_kubeconfig)
    until(
        lambda: operator.said("removes no left-overs"),
        what="the collector could not ask",
        told=operator.story,
    )
    always(orphan.exists, 2.0, what="the directory stays")
    assert rule.used > 0
    operator.stop()
    site.operator()
    until(lambda: not orphan.parent.exists(), what="it goes when everybody can be asked", told=site.story)
