"""Namespaces and releases that leave nothing behind, also when a test or its fixture has failed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripts import kube as kubectl
from scripts import release
from scripts.kube import CommandFailed, Kube
from tests.e2e.kit.site import Site

SETTINGS = {
    "maxRunning": 3,
    "startDeadlineSeconds": 20,
    "resyncSeconds": 5,
    "progressSeconds": 1,
    "collectSeconds": 2,
    "keptPodSeconds": 10,
    "leaseSeconds": 6,
}
"""Short clocks, for tests that wait for them."""


@contextmanager
def namespace(purpose: str) -> Iterator[Kube]:
    """A new namespace that takes restricted pods only; in the end it is told to go, with all in it."""
    kube = kubectl.from_environment(f"querytask-e2e-{purpose}-{secrets.token_hex(3)}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": kube.namespace, "labels": labels}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        yield kube
    finally:
        kube("delete", "namespace", kube.namespace, "--wait=false")


def wait_until_gone(kube: Kube) -> None:
    """Wait until a namespace that was told to go is gone."""
    kube("wait", f"namespace/{kube.namespace}", "--for=delete", "--timeout=120s", timeout=150)


@contextmanager
def installed(site: Site, **values: Any) -> Iterator[Site]:
    """A release of the operator, ready; uninstalled at the end, for its roles are the cluster's."""
    try:
        install(site, **values)
        yield site
    finally:
        release.uninstall(site.kube, site.release)


def install(site: Site, *, wait: bool = True, **values: Any) -> None:
    """Install or upgrade the release; ``settings`` come on top of the short clocks."""
    settings = SETTINGS | values.pop("settings", {})
    release.operator(site.kube, site.release, wait=wait, settings=settings, **values)


def has_storage_class(kube: Kube, name: str) -> bool:
    """Whether the cluster has that StorageClass."""
    try:
        kube("get", "storageclass", name)
    except CommandFailed:
        return False
    return True
