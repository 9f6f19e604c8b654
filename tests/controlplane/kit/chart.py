"""What the chart installs beside the operator's process: accounts, rights, claims and the environment.

The process under test gets exactly these, so that a right or a setting which the chart lacks shows here and
not first on somebody's cluster.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster.harness.api import Api
from tests.controlplane.kit.client import Json

ROOT = Path(__file__).parents[3]
HELM = ROOT / ".build" / "bin" / "helm"
RELEASE = "querytask-operator"
_PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}
_PLACE = "placeholder"


@dataclass(frozen=True)
class Chart:
    """The chart ``querytask-operator``, rendered once."""

    documents: tuple[Json, ...]

    @classmethod
    def render(cls) -> Chart:
        """Render it with its default values."""
        command = [str(HELM), "template", RELEASE, str(ROOT / "charts" / "querytask-operator"), "-n", _PLACE]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return cls(tuple(document for document in yaml.safe_load_all(text) if document))

    def install(self, api: Api, namespace: str) -> None:
        """Create accounts, rights and claims in a namespace."""
        for document in self._objects(namespace):
            api.create(_PATHS[document["kind"]].format(namespace=namespace), document)

    def environment(self) -> dict[str, str]:
        """The variables of the operator's container whose values the chart writes out."""
        (operator,) = (item for item in self.documents if item["kind"] == "StatefulSet")
        containers = operator["spec"]["template"]["spec"]["containers"]
        (container,) = [item for item in containers if item["name"] == "operator"]
        return {item["name"]: item["value"] for item in container["env"] if "value" in item}

    def _objects(self, namespace: str) -> Iterator[Json]:
        for document in self.documents:
            if document["kind"] in _PATHS:
                found = copy.deepcopy(document)
                found["metadata"]["namespace"] = namespace
                for subject in found.get("subjects", ()):
                    subject["namespace"] = namespace
                yield found
