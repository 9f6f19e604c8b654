"""The worker's pod and its assignment, compared as whole objects."""

from __future__ import annotations

from typing import Any

import pytest

from querytask.core import pods
from querytask_worker import contract
from tests import builders as make

NAME = f"qt-{make.UID}-1"
DIRECTORY = f"analytics/{make.UID}"
IMAGE = "registry.example/querytask-worker:1"

SIMPLEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": NAME,
        "namespace": "analytics",
        "labels": {
            "app.kubernetes.io/name": "querytask-worker",
            "app.kubernetes.io/component": "worker",
            "app.kubernetes.io/managed-by": "querytask-operator",
            "querytask.dev/task-uid": make.UID,
            "querytask.dev/attempt": "1",
        },
        "annotations": {"querytask.dev/task-name": "late-flights"},
        "ownerReferences": [
            {
                "apiVersion": "querytask.dev/v1alpha1",
                "kind": "QueryTask",
                "name": "late-flights",
                "uid": make.UID,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    },
    "spec": {
        "restartPolicy": "Never",
        "serviceAccountName": "querytask-worker",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 15,
        "activeDeadlineSeconds": 300 + 1800 + 10 + 15 + 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "worker",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "args": ["--attempt", "1"],
                "env": [
                    {
                        "name": "QUERYTASK_MEMORY_BYTES",
                        "valueFrom": {
                            "resourceFieldRef": {
                                "containerName": "worker",
                                "resource": "limits.memory",
                                "divisor": "1",
                            }
                        },
                    },
                    {
                        "name": "QUERYTASK_CPU_MILLIS",
                        "valueFrom": {
                            "resourceFieldRef": {
                                "containerName": "worker",
                                "resource": "limits.cpu",
                                "divisor": "1m",
                            }
                        },
                    },
                ],
                "resources": {
                    "requests": {"cpu": "1", "memory": "1Gi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "volumeMounts": [
                    {"name": "exports", "mountPath": "/task", "subPath": DIRECTORY},
                    {"name": "spill", "mountPath": "/spill"},
                ],
            }
        ],
        "volumes": [
            {"name": "exports", "persistentVolumeClaim": {"claimName": "exports"}},
            {"name": "spill", "emptyDir": {"sizeLimit": "4160Mi"}},
        ],
    },
}

FULL_SETTINGS = make.settings(
    worker_service_account="duck",
    worker_image_pull_policy="Always",
    worker_image_pull_secrets=("pull", "more"),
    worker_node_selector={"disk": "fast"},
    worker_tolerations=[{"key": "duckdb", "operator": "Exists"}],
    worker_priority_class="batch",
    operator_labels={"app.kubernetes.io/name": "querytask-operator"},
    start_deadline_seconds=120.5,
    stop_grace_seconds=30,
    timeout_margin_seconds=5,
)
FULL_TASK = make.task(
    sources=["flights", "planes"],
    resources={"cpu": "1500m", "memory": "1536Mi", "spill": "1Gi"},
    timeout="1h",
    metadata={"labels": {"team": "data"}},
)
FULL_SOURCES = {
    "flights": make.source(
        "flights", claimName="lake", subPath="2026/flights", supplementalGroups=[2000, 1000]
    ),
    "planes": make.source("planes", claimName="fleet", supplementalGroups=[1000]),
}


def full() -> dict[str, Any]:
    """The pod of a task and an operator that have everything set."""
    return pods.pod(FULL_TASK, 3, FULL_SOURCES, FULL_SETTINGS)


def test_the_simplest_pod():
    """A task with nothing but SQL, and an operator with nothing but what it needs."""
    assert pods.pod(make.task(), 1, {}, make.settings()) == SIMPLEST


def test_a_pod_with_everything_set():
    """What differs from the simplest pod, and nothing else does."""
    found, simplest = full(), SIMPLEST["spec"]["containers"][0]
    spec, container = found["spec"], found["spec"]["containers"][0]
    assert found["metadata"]["name"] == f"qt-{make.UID}-3"
    assert found["metadata"]["labels"] == SIMPLEST["metadata"]["labels"] | {"querytask.dev/attempt": "3"}
    assert spec == SIMPLEST["spec"] | {
        "serviceAccountName": "duck",
        "terminationGracePeriodSeconds": 30,
        "activeDeadlineSeconds": 3816,
        "securityContext": SIMPLEST["spec"]["securityContext"] | {"supplementalGroups": [1000, 2000]},
        "containers": [container],
        "volumes": [
            {"name": "exports", "persistentVolumeClaim": {"claimName": "exports"}},
            {"name": "spill", "emptyDir": {"sizeLimit": "1088Mi"}},
            {"name": "source-0", "persistentVolumeClaim": {"claimName": "lake", "readOnly": True}},
            {"name": "source-1", "persistentVolumeClaim": {"claimName": "fleet", "readOnly": True}},
        ],
        "imagePullSecrets": [{"name": "pull"}, {"name": "more"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "duckdb", "operator": "Exists"}],
        "priorityClassName": "batch",
        "affinity": {
            "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "querytask-operator"}},
                        "topologyKey": "kubernetes.io/hostname",
                    }
                ]
            }
        },
    }
    amounts = {"cpu": "1500m", "memory": "1536Mi"}
    assert container == simplest | {
        "imagePullPolicy": "Always",
        "args": ["--attempt", "3"],
        "resources": {"requests": amounts, "limits": amounts},
        "volumeMounts": [
            {"name": "exports", "mountPath": "/task", "subPath": DIRECTORY},
            {"name": "spill", "mountPath": "/spill"},
            {"name": "source-0", "mountPath": "/data/flights", "readOnly": True, "subPath": "2026/flights"},
            {"name": "source-1", "mountPath": "/data/planes", "readOnly": True},
        ],
    }


@pytest.mark.parametrize(
    ("mode", "labels", "bound"),
    [("ReadWriteOnce", {"a": "b"}, True), ("ReadWriteOnce", {}, False), ("ReadWriteMany", {"a": "b"}, False)],
)
def test_workers_stay_beside_the_operator_where_the_volume_makes_them(mode, labels, bound):
    """A volume that one node may mount is where the operator is."""
    settings = make.settings(exports_access_mode=mode, operator_labels=labels)
    assert ("affinity" in pods.pod(make.task(), 1, {}, settings)["spec"]) is bound


@pytest.mark.parametrize("pod", [SIMPLEST, full()], ids=["simplest", "full"])
def test_pod_security_restricted(pod):
    """Every demand of the Pod Security Standard ``restricted``, read off the pod."""
    spec = pod["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
    assert not {"sysctls", "windowsOptions", "seLinuxOptions", "appArmorProfile"} & set(
        spec["securityContext"]
    )
    assert not spec.get("initContainers")
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in context
        assert not {"hostPort"} & {key for port in container.get("ports", ()) for key in port}


@pytest.mark.parametrize("pod", [SIMPLEST, full()], ids=["simplest", "full"])
def test_a_worker_has_no_way_to_the_cluster(pod):
    """No token, no links to services, no root file system to write to, and no source to change."""
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in spec["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        for mount in container["volumeMounts"]:
            if mount["name"].startswith("source-"):
                assert mount["readOnly"] is True


def test_nothing_of_the_users_text_is_in_the_pod():
    """No SQL, no parameter, no file name and no owner: they travel in the mailbox."""
    task = make.task(
        sql="SELECT 'secret words'",
        parameters=[{"name": "p", "type": "VARCHAR", "value": "secret value"}],
        export={"fileName": "secret-file"},
        owner="secret owner",
        metadata={"annotations": {"secret": "annotation"}, "labels": {"secret": "label"}},
    )
    assert "secret" not in str(pods.pod(task, 1, {}, make.settings()))


def test_a_source_without_its_kind_is_refused():
    """A later kind that this release does not know is no volume."""
    broken = make.source()
    spec = broken.spec.model_copy(update={"volume": None})
    sources = {"flights": broken.model_copy(update={"spec": spec})}
    with pytest.raises(ValueError, match="spec of QuerySource flights must set volume"):
        pods.pod(make.task(sources=["flights"]), 1, sources, make.settings())


# the assignment


def test_the_simplest_assignment():
    """Every default is resolved: a worker knows none."""
    assert pods.assignment(make.task(), 1, make.settings()) == contract.Assignment(
        namespace="analytics",
        name="late-flights",
        uid=make.UID,
        attempt=1,
        sql=make.SQL,
        timeout_seconds=1800,
        retention_seconds=604_800,
        memory_bytes=2**30,
        cpu_millis=1000,
        spill_bytes=4 * 2**30,
    )


def test_an_assignment_with_everything_set():
    """And it survives the way through the mailbox."""
    task = make.task(
        sql="SELECT $a, $b, $c",
        parameters=[
            {"name": "a", "type": "INTEGER", "value": "60"},
            {"name": "b", "type": "VARCHAR[]", "values": ["x", "y"]},
            {"name": "c", "type": "DATE"},
        ],
        sources=["flights"],
        owner="data-team",
        export={"format": "CSV", "compression": "Gzip", "fileName": "late", "retention": "2h"},
        preview={"rows": 5},
        resources={"cpu": "500m", "memory": "512Mi", "spill": "16Mi"},
        timeout="90s",
    )
    found = pods.assignment(task, 2, make.settings())
    assert found == contract.Assignment(
        namespace="analytics",
        name="late-flights",
        uid=make.UID,
        attempt=2,
        sql="SELECT $a, $b, $c",
        timeout_seconds=90,
        retention_seconds=7200,
        memory_bytes=2**29,
        cpu_millis=500,
        spill_bytes=2**24,
        preview_rows=5,
        parameters=(
            contract.Parameter("a", "INTEGER", "60"),
            contract.Parameter("b", "VARCHAR[]", None, ("x", "y")),
            contract.Parameter("c", "DATE"),
        ),
        sources=("flights",),
        export=contract.Export("CSV", "Gzip", "late.csv.gz"),
        owner="data-team",
    )
    assert contract.load(contract.Assignment, contract.dump(found)) == found


@pytest.mark.parametrize(
    ("export", "seconds"),
    [(None, 1000), ({}, 1000), ({"retention": "500s"}, 500), ({"retention": "30d"}, 2000)],
)
def test_retention(export, seconds):
    """The task's own, else the operator's; never more than the operator's maximum."""
    settings = make.settings(default_retention_seconds=1000, max_retention_seconds=2000)
    task = make.task(export=export) if export is not None else make.task()
    assert pods.assignment(task, 1, settings).retention_seconds == seconds
