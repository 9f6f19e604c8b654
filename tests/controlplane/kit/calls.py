"""A call to the API server as a rule or a count sees it: which verb on what. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.controlplane.kit.client import Json

_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
WRITES = frozenset({"create", "patch", "update", "delete"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request; ``verb`` is one of Kubernetes': get, list, watch, create, patch, update, delete."""

    verb: str
    resource: str
    name: str
    part: str
    """``status`` where it is about that alone."""
    query: dict[str, str] = field(hash=False)
    body: Json = field(hash=False)

    @property
    def writes(self) -> bool:
        """Whether it is to change something."""
        return self.verb in WRITES

    @property
    def counted(self) -> bool:
        """A write of the operator's work: neither its lease nor an Event."""
        return self.writes and self.resource not in ("leases", "events")

    @property
    def phase(self) -> str:
        """The phase that a write of a task's status brings; empty where it brings none."""
        return str(self.body.get("status", {}).get("phase", "")) if self.part == "status" else ""

    def __str__(self) -> str:
        """For lists of calls: ``patch querytasks/status Running``."""
        what = "/".join(part for part in (self.resource, self.part) if part)
        return " ".join(part for part in (self.verb, what, self.phase) if part)


def read(method: str, target: str, body: bytes) -> Call:
    """The call that a request makes."""
    parts = urlsplit(target)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    path = [part for part in parts.path.split("/") if part]
    path = path[2:] if path[:1] == ["api"] else path[3:] if path[:1] == ["apis"] else []
    if path[:1] == ["namespaces"] and len(path) > 2:
        path = path[2:]
    resource, name, part = [*path, "", "", ""][:3]
    verb = _VERBS[method]
    if verb == "get" and not name:
        verb = "watch" if query.get("watch") in ("true", "1") else "list"
    return Call(verb, resource, name, part, query, _json(body))


def _json(body: bytes) -> Json:
    try:
        found: Any = json.loads(body) if body else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
