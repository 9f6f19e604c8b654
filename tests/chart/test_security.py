"""Who may do what: the operator no more than it calls, workers nothing, users by the roles that they have."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cluster.harness import ControlPlane
from querytask import names
from tests.chart.helm import Chart, container, only, pod_spec, render
from tests.chart.test_scenarios import create, make_namespace

NAMESPACE = "rights"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:qt-querytask-operator"
WORKER = f"system:serviceaccount:{NAMESPACE}:qt-querytask-operator-worker"
USERS = {role: f"{role}-of-{NAMESPACE}" for role in ("view", "edit", "admin")}
GROUPS = {
    "querytasks": names.GROUP,
    "querysources": names.GROUP,
    "leases": "coordination.k8s.io",
    "statefulsets": "apps",
}
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete")

CALLED = {
    "querytasks": {"get", "list", "watch", "delete"},
    "querytasks/status": {"patch"},
    "querysources": {"get", "list", "watch"},
    "querysources/status": {"patch"},
    "pods": {"get", "list", "watch", "create", "patch", "delete"},
    "persistentvolumeclaims": {"get", "list", "watch"},
    "events": {"list", "create"},
    f"leases/{names.LEASE_NAME}": {"get", "update"},
    "leases": {"create"},
}
"""What the operator calls; a right that it does not need is a right that an intruder gets."""

NEVER = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("create", "serviceaccounts/token"),
    ("update", "querytasks"),
    ("create", "querytasks"),
    ("create", "querysources"),
    ("get", "configmaps"),
    ("list", "leases"),
    ("create", "rolebindings"),
    ("patch", "persistentvolumeclaims"),
]


USER_RIGHTS = [
    *((role, verb, kind, True) for role in USERS for verb in READ for kind in ("querytasks", "querysources")),
    *(("view", verb, kind, False) for verb in WRITE for kind in ("querytasks", "querysources")),
    *(
        (role, verb, "querytasks", True)
        for role in ("edit", "admin")
        for verb in (*WRITE, "deletecollection")
    ),
    *(("edit", verb, "querysources", False) for verb in WRITE),
    *(("admin", verb, "querysources", True) for verb in WRITE),
    *((role, "get", "pods/log", True) for role in USERS),
    *((role, "patch", "querytasks/status", False) for role in USERS),
    *((role, "patch", "querysources/status", False) for role in USERS),
]


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane, operator_chart: Chart) -> ControlPlane:
    """The release in a namespace of its own, and a user bound to each of the cluster's roles there."""
    make_namespace(control_plane, NAMESPACE)
    for item in render(operator_chart, namespace=NAMESPACE):
        if item["kind"] in ("Role", "RoleBinding", "ClusterRole", "ServiceAccount"):
            create(control_plane, item, NAMESPACE)
    for role, user in USERS.items():
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        binding = {
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "subjects": [subject],
            "roleRef": reference,
        }
        create(control_plane, binding, NAMESPACE)
    wait_for_aggregation(control_plane)
    return control_plane


def wait_for_aggregation(plane: ControlPlane) -> None:
    """The controller adds our rules to `view`, `edit` and `admin` within moments; until then nothing is
    decided."""
    awaited = [right[:3] for right in USER_RIGHTS if right[3]]
    deadline = time.monotonic() + 30
    while awaited and time.monotonic() < deadline:
        role, verb, resource = awaited[-1]
        if may(plane, USERS[role], verb, resource):
            awaited.pop()
        else:
            time.sleep(0.05)


def may(
    plane: ControlPlane, who: str, verb: str, resource: str, namespace: str = NAMESPACE, name: str = ""
) -> bool:
    """Ask the API server's own authorizer."""
    kind, _, sub = resource.partition("/")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "resource": kind,
        "group": GROUPS.get(kind, ""),
        "name": name,
    }
    spec = {"user": who, "resourceAttributes": attributes | ({"subresource": sub} if sub else {})}
    answer = plane.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(answer["status"]["allowed"])


def granted(rules: list[dict[str, Any]]) -> dict[str, set[str]]:
    """A role's verbs by resource; a rule for one object is written `resource/name`."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for resource in rule["resources"]:
            for key in [f"{resource}/{name}" for name in rule.get("resourceNames", ())] or [resource]:
                found.setdefault(key, set()).update(rule["verbs"])
    return found


def test_the_role_is_what_the_operator_calls(operator_chart: Chart):
    """Not a verb more; no wildcard, no Secret, nothing of the cluster's own."""
    objects = render(operator_chart)
    assert granted(only(objects, "Role")["rules"]) == CALLED
    rules = [rule for item in objects if item["kind"] in ("Role", "ClusterRole") for rule in item["rules"]]
    assert "*" not in json.dumps(rules)
    assert "secret" not in json.dumps(rules).lower()
    assert "ClusterRoleBinding" not in [item["kind"] for item in objects]


@pytest.mark.parametrize(
    ("verb", "resource"), [(verb, resource) for resource in CALLED for verb in sorted(CALLED[resource])]
)
def test_the_operator_may(installed: ControlPlane, verb: str, resource: str):
    """The API server grants it, in the release's namespace and in no other."""
    name = resource.removeprefix("leases/") if resource.startswith("leases/") else ""
    kind = "leases" if name else resource
    assert may(installed, OPERATOR, verb, kind, name=name)
    assert not may(installed, OPERATOR, verb, kind, namespace="default", name=name)


@pytest.mark.parametrize(("verb", "resource"), NEVER)
def test_the_operator_may_not(installed: ControlPlane, verb: str, resource: str):
    """And refuses the rest."""
    assert not may(installed, OPERATOR, verb, resource)


@pytest.mark.parametrize(
    "resource",
    ["querytasks", "querysources", "pods", "secrets", "persistentvolumeclaims", "leases", "events"],
)
@pytest.mark.parametrize("verb", [*READ, *WRITE])
def test_workers_may_nothing(installed: ControlPlane, verb: str, resource: str):
    """A query that escapes from its engine finds an account without rights."""
    assert not may(installed, WORKER, verb, resource)


@pytest.mark.parametrize(("role", "verb", "resource", "allowed"), USER_RIGHTS)
def test_users(installed: ControlPlane, role: str, verb: str, resource: str, allowed: bool):
    """Who views a namespace sees its tasks, who edits it runs them, who administers it chooses the
    volumes; nobody writes status."""
    assert may(installed, USERS[role], verb, resource) == allowed


def test_workers_get_no_token(operator_chart: Chart):
    """Neither by their account nor by accident."""
    objects = render(operator_chart)
    assert only(objects, "ServiceAccount", "worker")["automountServiceAccountToken"] is False
    subjects = [
        subject["name"] for item in objects if item["kind"] == "RoleBinding" for subject in item["subjects"]
    ]
    assert subjects == ["qt-querytask-operator"]


def test_the_operator_gets_its_token_by_its_container_alone(operator_chart: Chart):
    """Another pod that names the account does not get it without asking, nor does the API beside it."""
    objects = render(operator_chart)
    assert only(objects, "ServiceAccount", "operator")["automountServiceAccountToken"] is False
    spec = pod_spec(objects)
    assert spec["automountServiceAccountToken"] is False
    tokens = {item["name"] for item in spec["volumes"] if "serviceAccountToken" in json.dumps(item)}
    mounted = {
        item["name"]: {mount["name"] for mount in item["volumeMounts"]} & tokens
        for item in spec["containers"]
    }
    assert mounted == {"operator": {"token"}, "api": set()}


def test_the_pod_is_restricted(operator_chart: Chart):
    """Whole, so that nothing is loosened in passing."""
    objects = render(operator_chart)
    assert pod_spec(objects)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for name in ("operator", "api"):
        assert container(objects, name)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_no_variables_of_services(operator_chart: Chart):
    """A Service named `querytask-…` would inject `QUERYTASK_…`, which the operator refuses as unknown
    settings."""
    assert pod_spec(render(operator_chart))["enableServiceLinks"] is False


def test_workers_have_no_network(operator_chart: Chart):
    """By default nothing reaches them and they reach nothing; the policy selects them by the label that
    the operator gives."""
    spec = only(render(operator_chart), "NetworkPolicy", "workers")["spec"]
    assert spec == {
        "podSelector": {"matchLabels": {names.APP_LABEL: names.WORKER_APP}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [],
    }
    without = render(operator_chart, {"worker.networkPolicy.enabled": False})
    assert [item["metadata"]["name"] for item in without if item["kind"] == "NetworkPolicy"] == [
        "qt-querytask-operator-api"
    ]
