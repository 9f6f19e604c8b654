"""The operator is restarted while tasks run and wait: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

import pytest

from scripts.kube import until
from tests.e2e.kit import node
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import BUSY
from tests.e2e.kit.watch import Witness

TABLES = ("tasks", "attempts", "exports")
TASKS = 5
"""More than there are slots, so that some wait."""


def delete_pod(site: Site) -> None:
    site.kube("delete", "pod", site.operator, "--wait=false")


def kill(site: Site) -> None:
    node.kill_first_process(site, site.operator, "operator")


@pytest.mark.parametrize(
    "disturb", [delete_pod, pytest.param(kill, marks=node.needed)], ids=["pod-deleted", "killed"]
)
def test_restart(site: Site, witness: Witness, disturb: Callable[[Site], None]) -> None:
    """All tasks end as they would have; each has one pod, one attempt, one row and one published result."""
    site.ready()
    names = [f"through-{disturb.__name__.replace('_', '-')}-{number}" for number in range(TASKS)]
    before = _operator(site)
    uids = {name: site.submit(name, BUSY, export={"format": "CSV"})["metadata"]["uid"] for name in names}
    until("one task to run and one to wait", lambda: _mixed(site, names))

    disturb(site)

    until("a new operator", lambda: _operator(site) not in (before, None), 90)
    ends = {name: site.ended(name)["status"] for name in names}
    assert {(end["phase"], end["attempt"]) for end in ends.values()} == {("Succeeded", 1)}
    assert len({end["export"]["sha256"] for end in ends.values()}) == 1
    assert _history(site, uids.values()) == dict.fromkeys(uids.values(), (1, 1, 1))
    for name, uid in uids.items():
        assert site.files(uid) == {
            "_manifest.json",
            *(
                f"1/{file}"
                for file in ("_assignment.json", "_manifest.json", "_outcome.json", "_progress.json")
            ),
            *("1/_worker.log", f"1/{name}.csv"),
        }
        assert len(witness.pods_of(uid)) == 1


def _mixed(site: Site, names: list[str]) -> bool:
    found = {
        item["metadata"]["name"]: item.get("status", {}).get("reason")
        for item in site.kube.items("querytasks")
    }
    return {"Started", "WaitingForSlot"} <= {found.get(name) for name in names}


def _operator(site: Site) -> tuple[str, int] | None:
    """Which process the operator is; ``None`` while it is not ready."""
    pod = site.kube.find("pod", site.operator)
    statuses = pod["status"].get("containerStatuses", []) if pod else []
    of_operator = next((item for item in statuses if item["name"] == "operator"), None)
    if pod is None or of_operator is None or not of_operator["ready"]:
        return None
    return pod["metadata"]["uid"], of_operator["restartCount"]


def _history(site: Site, uids: Collection[str]) -> dict[str, tuple[int, int, int]]:
    """How many rows the history has of each task, of its attempts, and of its exports."""
    counts = [f"(SELECT count(*) FROM {table} WHERE uid = value) AS {table}" for table in TABLES]
    rows = site.history(f"SELECT value AS uid, {', '.join(counts)} FROM json_each(?)", json.dumps([*uids]))
    return {row["uid"]: tuple(row[table] for table in TABLES) for row in rows}
