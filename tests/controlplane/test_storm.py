"""Twenty tasks, an operator that is killed every two seconds for a minute, some tasks cancelled, some
deleted: everything ends as it should, once."""

from __future__ import annotations

import random
import time

from querytask import names
from tests.controlplane.conftest import Sites
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

STORM_SECONDS = 60.0
LIFE_SECONDS = 2.0
CALM_SECONDS = 60.0
SEED = 2026


def test_everything_ends_as_it_should(sites: Sites) -> None:
    """Each task gets its own end within a minute of the last kill; one pod an attempt, none left over, no
    result that nobody tells of."""
    site = sites(max_running=6, lease_seconds=3, start_deadline_seconds=60)
    chance = random.Random(SEED)
    tasks = _tasks(site)
    calm = time.monotonic() + STORM_SECONDS
    pending = [(name, kind) for kind in ("cancel", "delete") for name in tasks[kind]]
    chance.shuffle(pending)
    while time.monotonic() < calm:
        operator = site.operator(ready=False)
        born = time.monotonic()
        if pending:
            _disturb(site, *pending.pop())
        _wait_until(born + LIFE_SECONDS)
        operator.kill()
        site.delete("leases", names.LEASE_NAME)  # else no operator would live long enough to get it
    for left in pending:
        _disturb(site, *left)
    site.operator()
    _all_ended(site, tasks)


def _tasks(site: Site) -> dict[str, dict[str, Json]]:
    again = {"limit": 5, "backoff": "1s"}
    wanted: dict[str, tuple[int, str, Json]] = {
        "succeed": (6, "succeed after=1", {"export": {}}),
        "fail": (4, "fail after=1 reason=SqlError", {}),
        "cancel": (5, "hang", {"retry": again}),
        "delete": (5, "hang", {"retry": again}),
    }
    return {
        kind: {name: site.submit(scene, name=name, **spec) for name in (f"{kind}-{n}" for n in range(number))}
        for kind, (number, scene, spec) in wanted.items()
    }


def _wait_until(moment: float) -> None:
    until(lambda: time.monotonic() > moment, LIFE_SECONDS + 1)


def _disturb(site: Site, name: str, kind: str) -> None:
    if kind == "cancel":
        site.cancel(name)
    else:
        site.delete(names.TASK_PLURAL, name)


def _all_ended(site: Site, tasks: dict[str, dict[str, Json]]) -> None:
    for name, task in tasks["succeed"].items():
        assert site.succeeds(name, timeout=CALM_SECONDS)["attempt"] == 1
        assert site.row(task, "Succeeded")["reason"] == "Completed"
    for name, task in tasks["fail"].items():
        site.ends(name, "Failed", "SqlError", timeout=CALM_SECONDS)
        site.row(task, "Failed")
    for name, task in tasks["cancel"].items():
        site.ends(name, "Cancelled", "CancelRequested", timeout=CALM_SECONDS)
        site.row(task, "Cancelled")
    for task in tasks["delete"].values():
        site.row(task, "Deleted", timeout=CALM_SECONDS)
    for each in tasks.values():
        for task in each.values():
            site.no_pods(task)
    assert site.observer.at_rest() == []
    played = [name for name, _ in site.kubelet.played]
    assert len(played) == len(set(played)), "no pod was made twice"
    assert len(site.history.tasks()) == 20
