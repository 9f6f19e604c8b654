"""Objects of the two kinds as plain JSON, and the calls that create, replace and refuse them: what a
user's client does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.harness import ControlPlane
from cluster.harness.errors import ApiError
from querytask import names

Json = dict[str, Any]


def task(name: str = "", **spec: Any) -> Json:
    """A QueryTask with the least that it needs, and ``spec`` over it; ``None`` leaves a field out."""
    fields = {"sql": "SELECT 1"} | spec
    return _object(names.TASK_KIND, name, {key: value for key, value in fields.items() if value is not None})


def source(name: str = "", **spec: Any) -> Json:
    """A QuerySource with ``spec``."""
    return _object(names.SOURCE_KIND, name, spec)


def _object(kind: str, name: str, spec: Json) -> Json:
    metadata = {"name": name} if name else {"generateName": "t-"}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


@dataclass
class Objects:
    """The API server, seen from one namespace."""

    plane: ControlPlane
    namespace: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def create(self, body: Json) -> Json:
        """The object as the server stores it; raises ``ApiError`` where it is refused."""
        return self.plane.api.call("POST", self._path(body["kind"]), body)

    def replace(self, body: Json, part: str = "") -> Json:
        """Replace the object, or with ``part`` ``/status`` only its status."""
        return self.plane.api.call(
            "PUT", f"{self._path(body['kind'])}/{body['metadata']['name']}{part}", body
        )

    def with_status(self, body: Json, **status: Any) -> Json:
        """Write the status of a stored object."""
        return self.replace(body | {"status": status}, "/status")

    def with_spec(self, body: Json, **spec: Any) -> Json:
        """Write fields of a stored object's spec; ``None`` takes one away."""
        fields = {key: value for key, value in (body["spec"] | spec).items() if value is not None}
        return self.replace(body | {"spec": fields})

    def _path(self, kind: str) -> str:
        plural = names.TASK_PLURAL if kind == names.TASK_KIND else names.SOURCE_PLURAL
        return f"/apis/{names.API_VERSION}/namespaces/{self.namespace}/{plural}"


def refused(call: Any, *arguments: Any, **keywords: Any) -> str:
    """The sentence with which the server refuses a call; fails where it does not, or for another cause
    than the object."""
    with pytest.raises(ApiError) as caught:
        call(*arguments, **keywords)
    assert caught.value.status == 422, caught.value
    return str(caught.value)
