"""A node of a test's own, beside the one that the other tests share, and what the machine holds for it."""

import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.harness import Node
from cluster.images import IMAGES, BuiltImage, build

NAMESPACE = "default"
# With another cluster the machine need not be one that can have a node.
EMBEDDED = (os.environ.get("CLUSTER") or "embedded") == "embedded"
RESTRICTED_POD = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


class Kubectl:
    """The node's own kubectl, in the namespace that enforces the restricted profile."""

    def __init__(self, node: Node) -> None:
        self._program = [node.running().binary, "kubectl", f"--kubeconfig={node.kubeconfig}"]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*self._program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One that goes on, such as a port-forward."""
        return subprocess.Popen([*self._program, *arguments], stdout=subprocess.PIPE, text=True)

    def apply(self, *objects: dict[str, Any]) -> None:
        self(
            "apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("get", kind, name, "--output=json"))
        return found

    def phase(self, pod: str) -> str:
        return str(self.get("pod", pod)["status"].get("phase", ""))


@functools.cache
def worker_image() -> BuiltImage:
    """An image with Python in it; which one does not matter here, but that it stays the same."""
    [image] = build([image for image in IMAGES if image.name == "worker"])
    return image


def enforce_restricted(kubectl: Kubectl) -> None:
    """From now on the namespace refuses pods that ask for more than the restricted profile allows."""
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")


def claim(name: str, storage: str, mode: str, storage_class: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": [mode], "resources": {"requests": {"storage": storage}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pod(
    name: str, container: dict[str, Any], mounts: dict[str, tuple[str, str]] | None = None
) -> dict[str, Any]:
    """A pod that asks for no more than it may. `mounts` maps paths to a claim and a folder in it."""
    mounts = mounts or {}
    container = {
        "name": "main",
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [
            {"name": claim, "mountPath": path, **({"subPath": folder} if folder else {})}
            for path, (claim, folder) in mounts.items()
        ],
        **container,
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": RESTRICTED_POD,
        "containers": [container],
        "volumes": [
            {"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim, _ in mounts.values()
        ],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def python(program: str, memory: str = "256Mi") -> dict[str, Any]:
    """A container that runs a Python program."""
    return {
        "image": worker_image().reference,
        "command": ["python3", "-c", program],
        "resources": {"limits": {"memory": memory}},
    }


def eventually(question: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Asks until the answer is truthy."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"{what} must happen within {seconds:g} s"
        time.sleep(0.1)
    return answer


def traces(state: Path, identifier: str) -> list[str]:
    """Everything on the machine that belongs to a node: what `down` must leave nothing of."""
    return [
        *(f"process {line}" for line in lines("ps", "-eo", "pid,stat,args") if str(state) in line),
        *(
            f"mount {line}"
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(state) in line
        ),
        *(f"interface {line}" for line in lines("ip", "-oneline", "link") if identifier in line),
        *(f"control group {path}" for path in Path("/sys/fs/cgroup").rglob(f"querytask-{identifier}")),
        *(f"loop device {line}" for line in lines("losetup", "--all") if str(state) in line),
        *(f"state {path.name}" for path in state.iterdir() if path.name not in ("logs", "lock")),
    ]


def lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
