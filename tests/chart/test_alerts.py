"""The alerting rules: promtool takes them, and they fire when they should, stay quiet when they should, and
resolve."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.kube import ROOT, tool
from tests.chart.helm import Chart, render

RUNBOOKS = ROOT / "docs" / "runbooks"
NAMESPACE = "analytics"


@pytest.fixture
def groups(operator_chart: Chart) -> list[dict[str, Any]]:
    """The rules as the chart renders them with a threshold of 60 s that must last for a minute."""
    objects = render(operator_chart, {"prometheusRule": {"enabled": True}}, namespace=NAMESPACE)
    (rule,) = [item for item in objects if item["kind"] == "PrometheusRule"]
    return list(rule["spec"]["groups"])


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)


def series(phase: str, values: str) -> dict[str, str]:
    """A series of the age of the oldest task in a phase, one value a minute."""
    name = f'querytask_oldest_task_age_seconds{{phase="{phase}", namespace="{NAMESPACE}", pod="operator-0"}}'
    return {"series": name, "values": values}


def fires(
    folder: Path,
    groups: list[dict[str, Any]],
    inputs: list[dict[str, str]],
    at: str,
    alert: str,
    *,
    value: str | None,
) -> None:
    """Demand that promtool sees the alert fire at a moment with ``value``, or not at all."""
    (folder / "rules.yaml").write_text(json.dumps({"groups": groups}))
    expected = []
    if value is not None:
        rule = next(item for item in groups[0]["rules"] if item["alert"] == alert)
        texts = {
            key: text.replace("{{ $value | humanizeDuration }}", value)
            for key, text in rule["annotations"].items()
        }
        expected.append({"exp_labels": rule["labels"], "exp_annotations": texts})
    test = {
        "interval": "1m",
        "input_series": inputs,
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}],
    }
    (folder / "test.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "tests": [test]}))
    done = promtool("test", "rules", str(folder / "test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules(groups: list[dict[str, Any]], tmp_path: Path):
    """Syntax and names are right."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))

    done = promtool("check", "rules", str(tmp_path / "rules.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_cancellation_wakes_somebody(groups: list[dict[str, Any]], tmp_path: Path):
    """The oldest task has been Cancelling for longer than the threshold, and that for as long as it must
    last."""
    ages = [series("Cancelling", "0 60 120 180 240")]

    fires(tmp_path, groups, ages, "4m", "QueryTaskCancellingStale", value="4m 0s")


@pytest.mark.parametrize(
    ("inputs", "at"),
    [
        pytest.param([series("Cancelling", "0 10 20 0 10 20")], "5m", id="cancellations that end in time"),
        pytest.param([series("Running", "600 660 720 780")], "3m", id="another phase"),
        pytest.param([series("Cancelling", "0 30 70 0 0")], "2m", id="not for long enough"),
        pytest.param([series("Cancelling", "120 180 240 0 0 0")], "5m", id="resolved"),
    ],
)
def test_it_stays_quiet(inputs: list[dict[str, str]], at: str, groups: list[dict[str, Any]], tmp_path: Path):
    """Daily business wakes nobody, and what is over is over."""
    fires(tmp_path, groups, inputs, at, "QueryTaskCancellingStale", value=None)


def test_a_failing_history_is_told(groups: list[dict[str, Any]], tmp_path: Path):
    """Errors that go on for five minutes."""
    errors = f'querytask_history_errors_total{{operation="record", namespace="{NAMESPACE}"}}'

    fires(
        tmp_path, groups, [{"series": errors, "values": "0+5x20"}], "15m", "QueryTaskHistoryFailing", value=""
    )


def history_gauge(name: str, values: str, namespace: str = NAMESPACE) -> dict[str, str]:
    """A gauge of the history."""
    return {"series": f'querytask_history_{name}{{namespace="{namespace}"}}', "values": values}


@pytest.mark.parametrize(
    ("values", "at", "value"),
    [
        pytest.param("0+0x2000", "25h", "", id="none was ever made"),
        pytest.param("3600+0x2000", "25h30m", None, id="not for long enough"),
        pytest.param("3600+0x2000", "26h", "", id="the last one is too old"),
        pytest.param("0+60x2000", "26h", None, id="one was made just now"),
        pytest.param("0+0x1500 90000+0x500", "26h", None, id="one was made at last"),
    ],
)
def test_backups_that_are_not_made_are_told(
    values: str, at: str, value: str | None, groups: list[dict[str, Any]], tmp_path: Path
):
    """The newest is older than a day, and that for half an hour."""
    ages = [history_gauge("backup_timestamp_seconds", values)]

    fires(tmp_path, groups, ages, at, "QueryTaskHistoryBackupStale", value=value)


def test_who_makes_no_backups_is_not_told(groups: list[dict[str, Any]], tmp_path: Path):
    """Without the setting there is no such gauge."""
    fires(tmp_path, groups, [], "30h", "QueryTaskHistoryBackupStale", value=None)


@pytest.mark.parametrize(
    ("values", "value"), [("0x10", None), ("1x10", ""), ("1x3 0x7", None)], ids=["none", "one", "removed"]
)
def test_a_damaged_history_is_told(
    values: str, value: str | None, groups: list[dict[str, Any]], tmp_path: Path
):
    """Until somebody has removed the file."""
    found = [history_gauge("damaged_files", values)]

    fires(tmp_path, groups, found, "8m", "QueryTaskHistoryDamaged", value=value)


def test_another_namespace_wakes_nobody_here(groups: list[dict[str, Any]], tmp_path: Path):
    """Each release watches its own operator."""
    foreign = [
        {
            "series": 'querytask_oldest_task_age_seconds{phase="Cancelling", namespace="other"}',
            "values": "600+60x10",
        }
    ]

    fires(tmp_path, groups, foreign, "8m", "QueryTaskCancellingStale", value=None)


def test_every_alert_has_its_runbook(groups: list[dict[str, Any]]):
    """Whoever is woken finds a page that names the alert."""
    for rule in groups[0]["rules"]:
        page = RUNBOOKS / Path(rule["annotations"]["runbook_url"]).name
        assert page.read_text().startswith(f"# {rule['alert']}\n")


def test_there_are_no_rules_unless_asked_for(operator_chart: Chart):
    """The kind exists only where the Prometheus operator does."""
    assert "PrometheusRule" not in [item["kind"] for item in render(operator_chart)]
