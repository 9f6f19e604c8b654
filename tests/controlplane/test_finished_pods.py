"""``keepFinishedPods``: which pods stay for their logs once their end was recorded, and for how long."""

from __future__ import annotations

import pytest

from tests.controlplane.conftest import Sites
from tests.controlplane.kit.waiting import always


@pytest.mark.parametrize(
    ("kept", "succeeded", "failed", "lost"),
    [("None", False, False, False), ("Failed", False, True, True), ("All", True, True, True)],
)
def test_pods_stay_as_the_setting_says(
    kept: str, succeeded: bool, failed: bool, lost: bool, sites: Sites
) -> None:
    """None, those of failures (lost attempts, too), or all; each for its time, then they go."""
    site = sites(keep_finished_pods=kept, kept_pod_seconds=7)
    site.operator()
    good = site.submit("succeed", name="good")
    bad = site.submit("fail", name="bad")
    twice = site.submit("exit code=137", "succeed", name="twice", retry={"limit": 1, "backoff": "1s"})
    site.succeeds("good")
    site.reaches("bad", "Failed")
    site.succeeds("twice")

    def present(task: dict[str, dict[str, str]], attempt: int) -> bool:
        pods = site.observer.pods_of(task["metadata"]["uid"])
        return any(pod["metadata"]["labels"]["querytask.dev/attempt"] == str(attempt) for pod in pods)

    wanted = {("good", 1): succeeded, ("bad", 1): failed, ("twice", 1): lost, ("twice", 2): succeeded}
    tasks = {"good": good, "bad": bad, "twice": twice}
    for (name, attempt), stays in wanted.items():
        if stays:
            assert present(tasks[name], attempt), f"{name}, attempt {attempt}"
        else:
            site.sees(lambda n=name, a=attempt: not present(tasks[n], a), f"the pod of {name} is gone")
    if lost:
        always(lambda: present(twice, 1), 0.5)
    for task in tasks.values():
        site.no_pods(task)


def test_a_kept_pod_goes_though_the_operator_was_restarted(sites: Sites) -> None:
    """The time counts from the task's end, and nobody has to remember it."""
    site = sites(keep_finished_pods="All", kept_pod_seconds=6)
    operator = site.operator()
    task = site.submit("succeed", name="kept")
    site.succeeds("kept")
    operator.kill()
    site.operator()
    site.no_pods(task)
    site.task("kept")
