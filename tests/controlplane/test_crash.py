"""``kill -9`` at every write of every kind of life: the end is that of a run that nobody disturbed.

The same status, one history row an attempt, one published manifest, no pod left over, and no pod more than
without the kill; the observer watches every event of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from queue import SimpleQueue
from typing import Any

import pytest

from cluster.harness import ControlPlane
from querytask import names
from tests.controlplane.conftest import new_namespace
from tests.controlplane.kit.chart import Chart
from tests.controlplane.kit.crash import Moment, Run, Scenario, run
from tests.controlplane.kit.loop import LoopThread
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.zygote import Zygote

AT_ONCE = 4
"""Runs at one time, each in a namespace of its own: most of a run is waiting."""
SCENARIOS = (
    Scenario("succeeds", ("succeed after=0.4",), {"export": {}}),
    Scenario("fails", ("fail after=0.4 reason=SqlError",)),
    Scenario(
        "is retried",
        ("exit code=137 after=0.4", "succeed after=0.4"),
        {"export": {}, "retry": {"limit": 1, "backoff": "1s"}},
    ),
    Scenario("is cancelled", ("hang",), act=lambda site, task: site.cancel(task["metadata"]["name"])),
    Scenario(
        "is deleted while it runs",
        ("hang",),
        act=lambda site, task: site.delete(names.TASK_PLURAL, task["metadata"]["name"]),
    ),
)
MOST_WRITES = {"succeeds": 8, "fails": 8, "is retried": 16, "is cancelled": 11, "is deleted while it runs": 6}
"""Writes that an undisturbed run makes, its Events among them."""


@pytest.fixture(scope="module")
def grounds(
    control_plane: ControlPlane,
    namespace_names: Iterator[str],
    loop: LoopThread,
    chart: Chart,
    zygote: Zygote,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SimpleQueue[Site]]:
    """Installations for runs, each for one at a time."""
    free: SimpleQueue[Site] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            name = new_namespace(control_plane, namespace_names)
            site = Site(control_plane, loop, chart, name, tmp_path_factory.mktemp("crash"), {}, zygote)
            free.put(stack.enter_context(closing(site)))
            site.open()
        yield free


@pytest.fixture(scope="module")
def undisturbed(grounds: SimpleQueue[Site]) -> dict[str, Run]:
    """How each scenario goes when nobody is killed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda scenario: _run(grounds, scenario), SCENARIOS)
        return {scenario.name: run for scenario, run in zip(SCENARIOS, found, strict=True)}


def _run(grounds: SimpleQueue[Site], scenario: Scenario, *where: Any) -> Run:
    site = grounds.get()
    try:
        found = run(site, scenario, *where)
        site.check()
        return found
    finally:
        grounds.put(site)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_an_undisturbed_run_makes_the_writes_that_are_known(
    scenario: Scenario, undisturbed: dict[str, Run]
) -> None:
    """No more writes than each step needs: the list that the kills go through."""
    assert 0 < len(undisturbed[scenario.name].writes) <= MOST_WRITES[scenario.name], undisturbed[
        scenario.name
    ]


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name.lower())
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_a_kill_at_any_write_changes_nothing_of_the_end(
    scenario: Scenario, moment: Moment, grounds: SimpleQueue[Site], undisturbed: dict[str, Run]
) -> None:
    """For every write: killed there, started anew, and the end state of the undisturbed run within 60 s."""
    wanted = undisturbed[scenario.name]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        indices = range(len(wanted.writes))
        runs = list(
            pool.map(
                _run, itertools.repeat(grounds), itertools.repeat(scenario), indices, itertools.repeat(moment)
            )
        )
    for index, found in enumerate(runs):
        assert found.end == wanted.end, f"killed at write {index}: {found.writes}"
    # A slow machine can skip a step that a task only passes through, so that the last indices are not
    # reached.
    assert sum(found.killed for found in runs) >= len(runs) * 3 / 4, (
        "nearly every run must have been disturbed"
    )
