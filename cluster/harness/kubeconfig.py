"""Kubeconfig files with everything inside, so that they can be copied.

JSON is YAML, so no YAML writer is needed.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.pki import Pki


@dataclass(frozen=True)
class Endpoint:
    """Where an API server is, and the authority that proves that it is the one."""

    url: str
    authority: Path


def write_certificate(file: Path, endpoint: Endpoint, pki: Pki, name: str) -> Path:
    """A kubeconfig that authenticates with the certificate called `name`."""
    user = {
        "client-certificate-data": encoded(pki.certificate(name)),
        "client-key-data": encoded(pki.key(name)),
    }
    return _write(file, endpoint, user, "default")


def write_token(file: Path, endpoint: Endpoint, token: str, namespace: str) -> Path:
    """A kubeconfig that authenticates with a bearer token and starts in `namespace`."""
    return _write(file, endpoint, {"token": token}, namespace)


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _write(file: Path, endpoint: Endpoint, user: dict[str, str], namespace: str) -> Path:
    cluster = {"server": endpoint.url, "certificate-authority-data": encoded(endpoint.authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "querytask", "cluster": cluster}],
        "users": [{"name": "querytask", "user": user}],
        "contexts": [
            {
                "name": "querytask",
                "context": {"cluster": "querytask", "user": "querytask", "namespace": namespace},
            }
        ],
        "current-context": "querytask",
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, indent=2) + "\n")
    return file
