"""Every installation in `ci/` renders, passes helm's own checks, and is taken by a real API server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.harness import ControlPlane
from tests.chart.helm import CHARTS, Chart, container, environment, kinds, only, pod_spec, render, run

CHART = Chart(CHARTS / "querytask-operator")
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
PATHS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "PrometheusRule": "/apis/monitoring.coreos.com/v1/namespaces/{}/prometheusrules",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ServiceMonitor": "/apis/monitoring.coreos.com/v1/namespaces/{}/servicemonitors",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}
each_scenario = pytest.mark.parametrize("scenario", CHART.scenarios, ids=lambda path: path.name)


def create(plane: ControlPlane, item: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Create, and with strict validation: an unknown or doubled field is an error."""
    return plane.api.call("POST", PATHS[item["kind"]].format(namespace) + "?fieldValidation=Strict", item)


def make_namespace(plane: ControlPlane, name: str) -> None:
    body = {"metadata": {"name": name, "labels": RESTRICTED}}
    plane.api.call("POST", "/api/v1/namespaces", body)


@each_scenario
def test_lint(scenario):
    """helm has nothing to say."""
    assert "0 chart(s) failed" in run("lint", "--strict", CHART.path, "--values", scenario)


@each_scenario
def test_the_api_server_takes_it(control_plane: ControlPlane, scenario):
    """Every object, into a new namespace, each field known."""
    namespace = "installed-" + scenario.name.removesuffix("-values.yaml")
    make_namespace(control_plane, namespace)
    for item in render(CHART, scenario, namespace=namespace):
        assert create(control_plane, item, namespace)["metadata"]["name"] == item["metadata"]["name"]


@each_scenario
def test_the_pod_fits_restricted(control_plane: ControlPlane, scenario):
    """The operator's pod itself is admitted where Pod Security enforces its strictest level."""
    namespace = "pod-" + scenario.name.removesuffix("-values.yaml")
    make_namespace(control_plane, namespace)
    objects = render(CHART, scenario, namespace=namespace)
    spec = pod_spec(objects) | {"priorityClassName": None}
    account = {"metadata": {"name": spec["serviceAccountName"]}}
    control_plane.api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    pod = {"metadata": {"name": "operator"}, "spec": spec}
    stored = control_plane.api.call(
        "POST", f"/api/v1/namespaces/{namespace}/pods?fieldValidation=Strict", pod
    )
    assert stored["spec"]["securityContext"]["runAsUser"] == 65532


def test_default_objects():
    """What one gets without a word of one's own."""
    assert kinds(render(CHART)) == [
        "ClusterRole",
        "ClusterRole",
        "ClusterRole",
        "NetworkPolicy",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PersistentVolumeClaim",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "Service",
        "ServiceAccount",
        "ServiceAccount",
        "StatefulSet",
    ]


def test_what_exists_is_not_made():
    """With accounts, rights and claims of somebody else's, a StatefulSet and its Services are left, and
    they use them."""
    objects = render(CHART, CHART.path / "ci" / "existing-values.yaml")
    assert kinds(objects) == ["Service", "Service", "StatefulSet"]
    spec, variables = pod_spec(objects), environment(objects)
    assert spec["serviceAccountName"] == "queries"
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in spec["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"history": "disk", "exports": "nfs"}
    assert variables["QUERYTASK_EXPORTS_CLAIM"] == "nfs"
    assert variables["QUERYTASK_RESERVED_CLAIMS"] == "disk"
    assert variables["QUERYTASK_WORKER_SERVICE_ACCOUNT"] == "nobody"


def test_a_cluster_of_many_nodes():
    """Each value of the fullest scenario is where it belongs."""
    objects = render(CHART, CHART.path / "ci" / "cluster-values.yaml")
    spec, variables = pod_spec(objects), environment(objects)
    digest = "sha256:" + "0" * 64
    assert container(objects)["image"] == f"registry.example.com/data/querytask-operator@{digest}"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert (spec["priorityClassName"], spec["nodeSelector"]) == (
        "system-cluster-critical",
        {"pool": "control"},
    )
    assert spec["tolerations"] == [{"key": "control", "operator": "Exists"}]
    assert "nodeAffinity" in spec["affinity"]
    assert variables["QUERYTASK_WORKER_IMAGE"] == "registry.example.com/data/querytask-worker:0.1.0"
    assert variables["QUERYTASK_WORKER_IMAGE_PULL_SECRETS"] == "registry,mirror"
    assert json.loads(variables["QUERYTASK_WORKER_NODE_SELECTOR"]) == {"pool": "queries"}
    assert json.loads(variables["QUERYTASK_WORKER_TOLERATIONS"]) == [
        {"key": "queries", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert variables["QUERYTASK_WORKER_PRIORITY_CLASS"] == "queries"
    assert only(objects, "PersistentVolumeClaim", "exports")["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "shared",
        "resources": {"requests": {"storage": "1Ti"}},
    }
    assert only(objects, "PersistentVolumeClaim", "history")["spec"]["storageClassName"] == ""
    assert only(objects, "NetworkPolicy", "workers")["spec"]["egress"][0]["ports"] == [{"port": 443}]
    monitor = only(objects, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert (
        monitor["spec"]["selector"]["matchLabels"].items()
        <= only(objects, "Service", "operator")["metadata"]["labels"].items()
    )
    assert {item["metadata"]["labels"]["team"] for item in objects} == {"data"}
