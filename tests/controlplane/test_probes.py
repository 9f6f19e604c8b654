"""Probes, metrics and log: what the process tells of itself, and that it can tell bad news, too."""

from __future__ import annotations

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

CLOSED = frozenset(
    "action kind operation phase reason resource result state step verb volume".split()  # noqa: SIM905 - one line
)
"""Labels whose values are closed sets."""


def test_a_process_that_does_nothing_answers_no_probe(site: Site) -> None:
    """A stopped process gives no answer to the kubelet, and answers again when it goes on."""
    operator = site.operator()
    operator.freeze()
    assert operator.probe("healthz", timeout=1.5)[0] == 0
    operator.thaw()
    until(lambda: operator.probe("healthz")[0] == 200, what="it is alive")


def test_both_probes_say_what_they_looked_at(shared: Site) -> None:
    """Each check is listed with its state, so that a person who asks learns more than yes or no."""
    operator = shared.operators[0]
    for name in ("healthz", "readyz"):
        status, body = operator.probe(name)
        assert (status, body["ok"]) == (200, True)
        assert set(body["checks"].values()) == {"ok"}
    assert "apiServer" in operator.probe("readyz")[1]["checks"]


def test_metrics_tell_of_tasks_and_have_no_label_that_grows_with_them(shared: Site) -> None:
    """Names, types and values after some tasks; no label's value is a name, a uid or a pod."""
    operator = shared.operators[0]
    before = operator.metric("querytask_tasks_finished_total", phase="Succeeded", reason="Completed")
    task = shared.submit("succeed", name="measured")
    shared.succeeds("measured")
    shared.submit("fail", name="measured-failure")
    shared.reaches("measured-failure", "Failed")
    until(
        lambda: operator.metric("querytask_tasks_finished_total", phase="Failed", reason="SqlError") >= 1,
        what="the failure is counted",
    )
    value = operator.metric("querytask_tasks_finished_total", phase="Succeeded", reason="Completed")
    assert value == before + 1
    assert operator.metric("querytask_tasks", phase="Succeeded") >= 1
    assert operator.metric("querytask_slots", state="limit") == 50
    assert operator.metric("querytask_volume_free_bytes", volume="exports") > 0
    text = operator.exposition()
    assert "measured" not in text
    assert task["metadata"]["uid"] not in text
    labels = {
        key
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for key in sample.labels
    }
    assert labels <= CLOSED | {"le"}


def test_the_oldest_task_of_a_phase_has_an_age(shared: Site) -> None:
    """Computed at the scrape: it grows while a task runs, and is nothing when none does."""
    operator = shared.operators[0]
    shared.submit("hang", name="ages")
    shared.reaches("ages", "Running")
    until(
        lambda: operator.metric("querytask_oldest_task_age_seconds", phase="Running") > 1.0,
        what="the oldest running task is a second old",
    )
    shared.cancel("ages")
    shared.reaches("ages", "Cancelled")


def test_every_line_about_a_task_names_it(shared: Site) -> None:
    """The log is JSON, one object a line, with time and level, and each line about a task has its name,
    namespace and attempt."""
    task = shared.submit("succeed after=1.2", name="logged")
    shared.succeeds("logged")
    operator = shared.operators[0]
    until(
        lambda: [line for line in operator.said("Running -> Succeeded") if line.get("task") == "logged"],
        what="the end is logged",
    )
    lines = [line for line in operator.lines() if line.get("task") == "logged"]
    assert {line["namespace"] for line in lines} == {shared.namespace}
    assert all(isinstance(line["attempt"], int) for line in lines)
    for line in operator.lines():
        assert {"time", "level", "logger", "message"} <= set(line), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert task["metadata"]["uid"] not in json.dumps([line.get("task") for line in operator.lines()])


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("max_running", "many", 'QUERYTASK_MAX_RUNNING must be a whole number, not "many"'),
        ("no_such_setting", "1", "QUERYTASK_NO_SUCH_SETTING must be a known setting"),
        ("resync_seconds", "0", "QUERYTASK_RESYNC_SECONDS must be at least 1"),
    ],
)
def test_a_bad_setting_is_a_sentence_and_an_exit_code(
    setting: str, value: str, text: str, shared: Site
) -> None:
    """A setting that is wrong or unknown stops the start, naming the variable and showing the value."""
    environment = shared.environment() | {f"QUERYTASK_{setting.upper()}": value}
    operator = OperatorProcess(environment, shared.folder / f"bad-{setting}.log")
    until(lambda: not operator.alive, 30, what="it has ended")
    assert operator.process.returncode == 2
    assert text in operator.log.read_text()
