"""Values: each one documented, each unknown or contradictory one refused with a sentence."""

from __future__ import annotations

import re

import pytest

from tests.chart.helm import CHARTS, Chart, Refused, container, only, render, run
from tests.chart.values import documented, leaves, table

BOTH = pytest.mark.parametrize("name", ["querytask-operator", "querytask-crds"])


@BOTH
def test_every_value_is_explained(name: str):
    """Each has a `# --` comment, itself or as part of an object that has one."""
    chart = Chart(CHARTS / name)
    explained = [value.path for value in documented(chart.path / "values.yaml")]
    for leaf in leaves(chart.values()):
        assert any(leaf == path or leaf.startswith(f"{path}.") for path in explained), leaf


@BOTH
def test_the_readme_lists_every_value(name: str):
    """Name, default and meaning as in values.yaml."""
    chart = Chart(CHARTS / name)
    assert table(chart.path / "README.md") == documented(chart.path / "values.yaml")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"bogus": 1}, "additional properties 'bogus' not allowed"),
        ({"worker.image.name": "x"}, "additional properties 'name' not allowed"),
        ({"settings.maxRuning": 1}, "additional properties 'maxRuning' not allowed"),
        ({"settings.maxRunning": 0}, "at '/settings/maxRunning': minimum: got 0, want 1"),
        ({"settings.maxRunning": "many"}, "at '/settings/maxRunning': got string, want integer"),
        ({"settings.keepFinishedPods": "Some"}, "at '/settings/keepFinishedPods': value must be one of"),
        ({"exports.accessMode": "ReadOnlyMany"}, "at '/exports/accessMode': value must be one of"),
        ({"history.accessMode": "ReadWriteMany"}, "at '/history/accessMode': value must be one of"),
        ({"exports.size": "big"}, "at '/exports/size': 'big' does not match pattern"),
        ({"image.digest": "latest"}, "at '/image/digest': 'latest' does not match pattern"),
        ({"image.pullPolicy": "Sometimes"}, "at '/image/pullPolicy': value must be one of"),
        ({"fullnameOverride": "Queries"}, "at '/fullnameOverride': 'Queries' does not match pattern"),
        (
            {"serviceAccount.create": False},
            "serviceAccount.name must be set when serviceAccount.create is false",
        ),
        (
            {"worker.serviceAccount.create": False},
            "worker.serviceAccount.name must be set when worker.serviceAccount.create is false",
        ),
        (
            {"worker.serviceAccount.name": "qt-querytask-operator"},
            "serviceAccount.name and worker.serviceAccount.name must differ",
        ),
        (
            {"exports.existingClaim": "disk", "history.existingClaim": "disk"},
            "exports.existingClaim and history.existingClaim must differ",
        ),
        (
            {"history.database.caSecret": "authority"},
            "history.database.existingSecret must be set when history.database.caSecret is",
        ),
        ({"history.database.url": "x"}, "additional properties 'url' not allowed"),
        ({"history.database.key": "a b"}, "at '/history/database/key': 'a b' does not match pattern"),
        ({"env": [{"name": "QUERYTASK_HISTORY_URL", "value": "x"}]}, "at '/env/0/name': 'not' failed"),
        ({"env": [{"value": "x"}]}, "at '/env/0': missing property 'name'"),
        (
            {"settings.maxRetentionSeconds": 3_600},
            "settings.defaultRetentionSeconds must be at most settings.maxRetentionSeconds",
        ),
    ],
)
def test_refused(operator_chart: Chart, values, sentence: str):
    """Before anything is made, with the name of the value."""
    with pytest.raises(Refused, match=re.escape(sentence)):
        render(operator_chart, values)


def test_claims_stay_unless_told(operator_chart: Chart):
    """Uninstalling takes neither the files nor the history."""
    for name in ("exports", "history"):
        kept = only(render(operator_chart), "PersistentVolumeClaim", name)
        assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert "storageClassName" not in kept["spec"]
        loose = only(render(operator_chart, {f"{name}.keep": False}), "PersistentVolumeClaim", name)
        assert "annotations" not in loose["metadata"]


def test_what_selects_never_changes(operator_chart: Chart):
    """A selector cannot be changed by an upgrade, so no version, no chart and no label of the user is in
    it."""
    objects = render(operator_chart, {"commonLabels": {"team": "data"}, "podLabels": {"shard": "1"}})
    wanted = {
        "app.kubernetes.io/name": "querytask-operator",
        "app.kubernetes.io/instance": "qt",
        "app.kubernetes.io/component": "operator",
    }
    stateful = only(objects, "StatefulSet")
    assert stateful["spec"]["selector"]["matchLabels"] == wanted
    assert only(objects, "Service", "operator")["spec"]["selector"] == wanted
    assert wanted.items() < stateful["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("qt", {}, "qt-querytask-operator"),
        ("querytask-operator", {}, "querytask-operator"),
        ("qt", {"nameOverride": "sql"}, "qt-sql"),
        ("qt", {"fullnameOverride": "queries"}, "queries"),
        ("r" * 53, {}, "r" * 52),
    ],
)
def test_names(operator_chart: Chart, release: str, values, name: str):
    """As with other charts; short enough for the label that a StatefulSet's controller makes of its name."""
    assert only(render(operator_chart, values, release=release), "StatefulSet")["metadata"]["name"] == name


def test_images(operator_chart: Chart):
    """By tag, the chart's version unless told; by digest where one is given."""
    assert container(render(operator_chart))["image"] == "querytask-operator:0.1.0"
    assert container(render(operator_chart, {"image.tag": "dev"}))["image"] == "querytask-operator:dev"


def test_probes(operator_chart: Chart):
    """Alive and ready are different questions."""
    found = container(render(operator_chart))
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_notes(operator_chart: Chart):
    """The next three commands, for this release and this namespace; what is missing; what the volume
    means."""
    text = run("install", "qt", operator_chart.path, "--namespace", "analytics", "--dry-run=client")
    notes = text.partition("NOTES:")[2]
    assert "QueryTask is not defined in this cluster yet" in notes
    assert "kubectl --namespace analytics rollout status statefulset/qt-querytask-operator" in notes
    assert "kubectl --namespace analytics create -f -" in notes
    assert "kubectl --namespace analytics wait --for=condition=Finished querytask/hello" in notes
    assert "every worker runs on the operator's node" in notes
