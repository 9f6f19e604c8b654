"""The history in a database: both containers get its URL from a Secret, nothing else does, and nothing is
left of the volume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from querytask import settings
from querytask.web import settings as web
from tests.chart.helm import Chart, Json, container, environment, kinds, only, pod_spec, render, run

SECRET = {"history.database.existingSecret": "history-database"}
BOTH = pytest.mark.parametrize("name", ["operator", "api"])


def full(chart: Chart) -> list[Json]:
    """The installation with everything of it."""
    return render(chart, chart.path / "ci" / "database-values.yaml")


@BOTH
def test_the_url_comes_from_the_secret(operator_chart: Chart, name: str):
    """By the kubelet; a key of another name is taken, too."""
    assert environment(render(operator_chart, SECRET), name)["QUERYTASK_HISTORY_URL"] == (
        "secret history-database url"
    )
    other = render(operator_chart, SECRET | {"history.database.key": "DATABASE_URL"})
    assert environment(other, name)["QUERYTASK_HISTORY_URL"] == "secret history-database DATABASE_URL"
    assert "QUERYTASK_HISTORY_URL" not in environment(render(operator_chart), name)


def test_nothing_else_names_the_secret(operator_chart: Chart):
    """Two variables, and no other object, right or volume."""
    text = json.dumps(full(operator_chart))
    assert text.count('"history-database"') == 2
    assert text.count('"history-authority"') == 1


def test_both_programs_take_what_they_get(operator_chart: Chart):
    """The variables are settings that they know."""
    url = "postgresql://u:p@db/history"
    objects = full(operator_chart)
    given = {"QUERYTASK_HISTORY_URL": url}
    found = settings.read(environment(objects) | given)
    assert (found.history_url, found.task_retention) == (url, "86400")
    assert web.read(environment(objects, "api") | given).history_url == url


def test_no_claim_and_no_volume(operator_chart: Chart):
    """The exports keep theirs."""
    objects = render(operator_chart, SECRET)
    assert only(objects, "PersistentVolumeClaim")["metadata"]["name"].endswith("-exports")
    assert "history" not in {item["name"] for item in pod_spec(objects)["volumes"]}
    for name in ("operator", "api"):
        assert "/history" not in {item["mountPath"] for item in container(objects, name)["volumeMounts"]}
        assert "QUERYTASK_HISTORY_DIR" not in environment(objects, name)
    assert kinds(render(operator_chart)).count("PersistentVolumeClaim") == 2


def test_the_claim_of_before_stays_closed_to_sources(operator_chart: Chart):
    """It may still be there, with all that the history knew."""
    reserved = environment(render(operator_chart, SECRET))["QUERYTASK_RESERVED_CLAIMS"]
    assert reserved == "qt-querytask-operator-history"


@BOTH
def test_the_authority_is_mounted(operator_chart: Chart, name: str):
    """To read, under the name that libpq is told."""
    objects = full(operator_chart)
    (mount,) = [item for item in container(objects, name)["volumeMounts"] if item["name"] == "history-ca"]
    assert mount == {"name": "history-ca", "mountPath": "/history-ca", "readOnly": True}
    (volume,) = [item for item in pod_spec(objects)["volumes"] if item["name"] == "history-ca"]
    assert volume["secret"]["secretName"] == "history-authority"
    assert volume["secret"]["items"] == [{"key": "root.pem", "path": "ca.crt"}]
    assert environment(objects, name)["PGSSLROOTCERT"] == "/history-ca/ca.crt"
    assert "PGSSLROOTCERT" not in environment(render(operator_chart, SECRET), name)


@BOTH
def test_further_variables_arrive(operator_chart: Chart, name: str, values_file: Path):
    """Those of a database and those of a file."""
    values_file.write_text(json.dumps({"env": [{"name": "TASK_RETENTION_SECONDS", "value": "3600"}]}))
    assert environment(render(operator_chart, values_file), name)["TASK_RETENTION_SECONDS"] == "3600"
    assert environment(full(operator_chart), name)["TASK_RETENTION_SECONDS"] == "86400"


def test_nothing_keeps_its_pod_from_the_database(operator_chart: Chart):
    """No policy of the chart limits the egress of the operator's pod; the workers' policy gives them none."""
    policies = [item for item in full(operator_chart) if item["kind"] == "NetworkPolicy"]
    limited = [item["spec"] for item in policies if "Egress" in item["spec"]["policyTypes"]]
    (workers,) = limited
    assert workers["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "querytask-worker"}
    assert workers["egress"] == []


def test_notes(operator_chart: Chart):
    """Where the URL is looked for, and who backs it up."""
    options = ["--set", "history.database.existingSecret=history-database", "--dry-run=client"]
    notes = run("install", "qt", operator_chart.path, *options).partition("NOTES:")[2]
    assert "Secret history-database holds under the key url" in notes
    assert "the database's own tools" in notes
    assert "does not come along by itself: docs/how-to/move-to-postgresql.md" in notes
