"""The chart and the operator agree about every setting: its name, its type, its bounds, and what the chart
fills in."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path

import pytest

from querytask import settings
from querytask.api import parse
from querytask.core import pods
from tests.chart.helm import Chart, Refused, environment, only, pod_spec, render

FILLED_IN = {
    "exports_access_mode",
    "exports_claim",
    "exports_dir",
    "history_dir",
    "history_url",
    "namespace",
    "operator_labels",
    "pod_name",
    "port",
    "reserved_claims",
    "worker_image",
    "worker_image_pull_policy",
    "worker_image_pull_secrets",
    "worker_node_selector",
    "worker_priority_class",
    "worker_service_account",
    "worker_tolerations",
}
"""What the chart knows from other values; to set it twice would be to contradict oneself."""
FIELDS = {field.name: field for field in dataclasses.fields(settings.Settings)}
TYPES = {int: "integer", float: "number", str: "string"}


def camel(name):
    head, *tail = name.split("_")
    return head + "".join(map(str.capitalize, tail))


def read(objects):
    """What the operator makes of the container's environment."""
    variables = environment(objects)
    assert variables.pop("QUERYTASK_NAMESPACE") == "metadata.namespace"
    assert variables.pop("QUERYTASK_POD_NAME") == "metadata.name"
    return settings.read(variables | {"QUERYTASK_NAMESPACE": "analytics", "QUERYTASK_POD_NAME": "qt-0"})


def worker(found):
    """The spec of a worker's pod with these settings."""
    metadata = {"name": "x", "namespace": "analytics", "uid": "u"}
    return pods.pod(parse.task({"metadata": metadata, "spec": {"sql": "SELECT 1"}}), 1, {}, found)["spec"]


def test_the_schema_knows_each_setting(operator_chart: Chart):
    """A setting that is new, gone, or has another type or bound must change the schema, too."""
    schema = json.loads((operator_chart.path / "values.schema.json").read_text(encoding="utf-8"))
    hints = typing.get_type_hints(settings.Settings)
    wanted: dict[str, dict[str, object]] = {}
    for name in FIELDS.keys() - FILLED_IN:
        metadata = FIELDS[name].metadata
        wanted[camel(name)] = {"type": TYPES[hints[name]]}
        if metadata["duration"]:
            wanted[camel(name)] = {"type": ["string", "number"], "pattern": settings.DURATION}
        if metadata["least"] is not None:
            wanted[camel(name)]["minimum"] = metadata["least"]
        if metadata["choices"]:
            wanted[camel(name)]["enum"] = list(metadata["choices"])
    assert schema["properties"]["settings"]["properties"] == wanted


def test_nothing_set_is_every_default(operator_chart: Chart):
    """The operator reads what the chart renders, and gets its own defaults for all that the chart does not
    know."""
    found = read(render(operator_chart))
    for name, field in FIELDS.items():
        if name not in FILLED_IN:
            assert getattr(found, name) == field.default, name


def test_what_the_chart_fills_in(operator_chart: Chart):
    """Where things are, and what they are called."""
    objects = render(operator_chart)
    found = read(objects)
    assert found.worker_image == "querytask-worker:0.1.0"
    assert (found.exports_claim, found.reserved_claims) == (
        "qt-querytask-operator-exports",
        ("qt-querytask-operator-history",),
    )
    assert found.worker_service_account == "qt-querytask-operator-worker"
    mounts = {item["mountPath"] for item in pod_spec(objects)["containers"][0]["volumeMounts"]}
    assert {found.history_dir, found.exports_dir} < mounts
    assert found.port == pod_spec(objects)["containers"][0]["ports"][0]["containerPort"]


def test_every_setting_arrives(operator_chart: Chart, values_file: Path):
    """Whatever its type: whole numbers beyond a million, fractions, zero, words."""
    values = {
        "maxRunning": 1_000_000,
        "startDeadlineSeconds": 90,
        "stopGraceSeconds": 20,
        "timeoutMarginSeconds": 1.5,
        "maxBackoffSeconds": 1_000_000,
        "defaultRetentionSeconds": 2_592_000,
        "maxRetentionSeconds": 31_536_000,
        "keepFinishedPods": "All",
        "keptPodSeconds": 0,
        "resyncSeconds": 5,
        "finishedScanSeconds": 30,
        "progressSeconds": 0.5,
        "concurrency": 3,
        "collectSeconds": 2,
        "orphanGraceSeconds": 0,
        "taskRetention": "1h30m",
        "backupSeconds": 1_000_000,
        "backupsKept": 0,
        "leaseSeconds": 9,
        "logLevel": "DEBUG",
    }
    schema = json.loads((operator_chart.path / "values.schema.json").read_text(encoding="utf-8"))
    known = set(schema["properties"]["settings"]["properties"])
    assert set(values) <= known
    values_file.write_text(json.dumps({"settings": values}))
    found = read(render(operator_chart, values_file))
    for name in FIELDS.keys() - FILLED_IN:
        if camel(name) in values:
            assert getattr(found, name) == values[camel(name)], name


def test_one_node_volume_binds_the_workers(operator_chart: Chart):
    """With ReadWriteOnce the operator is told so, and its labels select its own pod and no worker."""
    objects = render(operator_chart, {"exports.accessMode": "ReadWriteOnce"})
    found = read(objects)
    assert found.exports_access_mode == "ReadWriteOnce"
    template = only(objects, "StatefulSet")["spec"]["template"]
    assert found.operator_labels.items() <= template["metadata"]["labels"].items()
    affinity = worker(found)["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity == [
        {"labelSelector": {"matchLabels": found.operator_labels}, "topologyKey": "kubernetes.io/hostname"}
    ]


def test_a_shared_volume_does_not(operator_chart: Chart):
    """With ReadWriteMany workers go where there is room."""
    found = read(render(operator_chart, {"exports.accessMode": "ReadWriteMany"}))
    assert "affinity" not in worker(found)


@pytest.mark.parametrize("name", sorted(map(camel, FILLED_IN)))
def test_what_is_filled_in_cannot_be_set(operator_chart: Chart, name: str):
    """There is one place for each thing."""
    with pytest.raises(Refused, match=f"additional properties '{name}' not allowed"):
        render(operator_chart, {f"settings.{name}": "x"})


def test_the_retention_check_knows_the_defaults(operator_chart: Chart):
    """The chart compares what is set with what is not; so it has to know what is not."""
    text = (operator_chart.path / "templates" / "validation.yaml").read_text(encoding="utf-8")
    most, default = FIELDS["max_retention_seconds"].default, FIELDS["default_retention_seconds"].default
    assert f'dict "default" {default} "max" {most}' in text
