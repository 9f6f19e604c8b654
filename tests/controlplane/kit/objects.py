"""Objects of one namespace as a user's client makes, changes and deletes them, with an administrator's
rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cluster.harness import ControlPlane
from cluster.harness.errors import ApiError
from querytask import names
from tests.controlplane.kit import script
from tests.controlplane.kit.client import Json

_ROOTS = {"leases": "/apis/coordination.k8s.io/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1"}


class Objects:
    """The calls; a site brings what they need."""

    plane: ControlPlane
    namespace: str
    numbers: Iterator[int]

    def submit(self, *scenes: str, name: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Json:
        """Create a task whose pods play ``scenes``; the object as the server has it."""
        fields = {"sql": script.sql(*scenes) if scenes else "SELECT 1"} | spec
        metadata: Json = {"name": name or f"task-{next(self.numbers)}"} | (
            {"labels": labels} if labels else {}
        )
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.TASK_KIND,
            "metadata": metadata,
            "spec": fields,
        }
        return self.plane.api.call("POST", self.path(names.TASK_PLURAL), body)

    def source(self, name: str, claim: str) -> Json:
        """Create a QuerySource on a claim."""
        spec = {"volume": {"claimName": claim}}
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.SOURCE_KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        return self.plane.api.call("POST", self.path(names.SOURCE_PLURAL), body)

    def claim(self, name: str) -> Json:
        """Create a PersistentVolumeClaim."""
        resources = {"requests": {"storage": "1Gi"}}
        body = {
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteMany"], "resources": resources},
        }
        return self.plane.api.call("POST", self.path("persistentvolumeclaims"), body)

    def cancel(self, name: str, reason: str = "") -> Json:
        """Ask for a task's cancellation."""
        body: Json = {"spec": {"cancel": True}}
        if reason:
            body["metadata"] = {"annotations": {names.CANCEL_REASON_ANNOTATION: reason}}
        return self.patch(names.TASK_PLURAL, name, body)

    def patch(self, plural: str, name: str, body: Json) -> Json:
        """Merge ``body`` into an object."""
        return self.plane.api.call("PATCH", self.path(plural, name), body)

    def delete(self, plural: str, name: str, **options: Any) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            self.plane.api.call("DELETE", self.path(plural, name), options or None)
        except ApiError as error:
            if error.status != 404:
                raise

    def get(self, plural: str, name: str) -> Json | None:
        """An object as it is now."""
        try:
            return self.plane.api.call("GET", self.path(plural, name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def path(self, plural: str, name: str = "") -> str:
        """Where objects of a kind are."""
        custom = plural in (names.TASK_PLURAL, names.SOURCE_PLURAL)
        root = f"/apis/{names.API_VERSION}" if custom else _ROOTS.get(plural, "/api/v1")
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")
