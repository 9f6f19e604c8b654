"""Installs the two charts with helm, with the images that were built here, as `make demo` and the end-to-end
tests do."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from scripts.kube import ROOT, CommandFailed, Kube, until

IMAGES = ROOT / ".build" / "images"
CRDS_NAMESPACE = "default"
"""As `helm install` has it when it is told no other."""


def image(name: str) -> str:
    """The reference of the image that was built last: ``operator`` or ``worker``."""
    path = IMAGES / f"{name}.ref"
    if not path.exists():
        raise CommandFailed(f"{path.relative_to(ROOT)} must exist; run `make images`")
    return path.read_text().strip()


def crds(kube: Kube) -> None:
    """Install or upgrade the CRDs, by the release that has them already.

    They are the whole cluster's, and stay when the namespace goes that their release was in.
    """
    owner = Kube(kube.kubeconfig, _namespace_of_crds(kube) or CRDS_NAMESPACE)
    owner.helm(
        "upgrade",
        "--install",
        "querytask-crds",
        str(ROOT / "charts" / "querytask-crds"),
        "--take-ownership",
        "--wait",
        "--timeout=1m",
    )
    for name in ("querytasks", "querysources"):
        kube("wait", f"crd/{name}.querytask.dev", "--for=condition=Established", "--timeout=30s")
        until(f"kubectl to know the {name}", partial(_served, kube, name), 30)


def _served(kube: Kube, name: str) -> bool:
    """Whether kubectl finds the resource: a new one takes the API server's discovery a moment more."""
    try:
        kube("get", name, "--output=name")
    except CommandFailed:
        return False
    return True


def _namespace_of_crds(kube: Kube) -> str | None:
    """Where the release is that has installed the CRDs; ``None`` when there is none, or none any more."""
    found = kube.find("crd", "querytasks.querytask.dev")
    place = found["metadata"].get("annotations", {}).get("meta.helm.sh/release-namespace") if found else None
    return place if place and kube.find("namespace", place) else None


def operator(kube: Kube, name: str, *, wait: bool = True, **values: Any) -> None:
    """Install or upgrade the operator; ``values`` are chart values, nested ones with ``__`` for the dot."""
    chart = str(ROOT / "charts" / "querytask-operator")
    sets = [
        f"--set-json={key.replace('__', '.')}={_json(value)}" for key, value in (_images() | values).items()
    ]
    kube.helm("upgrade", "--install", name, chart, *sets, "--timeout=3m", *(["--wait"] if wait else []))


def uninstall(kube: Kube, name: str) -> None:
    """Uninstall the operator; its claims stay where the values keep them."""
    kube.helm("uninstall", name, "--wait", "--ignore-not-found")


def _images() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, prefix in (("operator", "image"), ("worker", "worker__image")):
        repository, _, tag = image(part).rpartition(":")
        found |= {
            f"{prefix}__repository": repository,
            f"{prefix}__tag": tag,
            f"{prefix}__pullPolicy": "IfNotPresent",
        }
    return found


def _json(value: Any) -> str:
    return json.dumps(value)


def example_files(*, failures: bool = False) -> list[Path]:
    """The numbered examples, in their order."""
    folder = ROOT / "examples" / "failures" if failures else ROOT / "examples"
    return sorted(folder.glob("[0-9]*.yaml"))
