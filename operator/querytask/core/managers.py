"""Who has set ``spec.cancel``, as far as the cluster tells: the field manager that owns the field.

``metadata.managedFields`` names the program (``kubectl-patch``, ``argocd-controller``), not the person; the
cluster's audit log names the person. The rest of ``managedFields`` is let go, because it is larger than many
a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def of_cancel(raw: Mapping[str, Any]) -> str | None:
    """The field manager that owns ``spec.cancel`` of a cancelled task; ``None`` where nobody does."""
    found = _entry(raw)
    return None if found is None else str(found.get("manager", ""))[:128] or None


def trim(raw: dict[str, Any]) -> None:
    """Keep of ``metadata.managedFields`` no more than ``of_cancel`` needs."""
    found = _entry(raw)
    raw["metadata"].pop("managedFields", None)
    if found is not None:
        raw["metadata"]["managedFields"] = [found]


def _entry(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not raw.get("spec", {}).get("cancel"):
        return None
    entries = [item for item in raw["metadata"].get("managedFields", ()) if _owns(item)]
    return max(entries, key=lambda item: str(item.get("time", "")), default=None)


def _owns(entry: Mapping[str, Any]) -> bool:
    return "f:cancel" in entry.get("fieldsV1", {}).get("f:spec", {})
