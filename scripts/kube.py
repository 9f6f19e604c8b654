"""kubectl and helm as a user would call them, and the few questions that the demo and the end-to-end tests
ask.

Everything goes through the command line on purpose: what is proven here is what people type.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".build" / "bin"


class CommandFailed(RuntimeError):
    """A command ended with an error; the text is its own message."""


def tool(name: str) -> str:
    """The program of that name: ours if `make setup` has put it there, else the one on the PATH."""
    own = TOOLS / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise CommandFailed(f"{name} must be installed; run `make setup`")
    return found


def run(command: Sequence[str], *, stdin: bytes | None = None, timeout: float = 600.0) -> str:
    """Run a command and give back what it printed; raises ``CommandFailed`` with its error output."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        shown = " ".join(Path(part).name if index == 0 else part for index, part in enumerate(command))
        message = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        raise CommandFailed(f"{shown}: {message}")
    return done.stdout.decode(errors="replace")


@dataclass(frozen=True)
class Kube:
    """kubectl for one namespace of the cluster that ``kubeconfig`` names."""

    kubeconfig: str
    namespace: str

    def __call__(self, *arguments: str, stdin: bytes | None = None, timeout: float = 600.0) -> str:
        """Run ``kubectl``."""
        base = [tool("kubectl"), "--kubeconfig", self.kubeconfig, "--namespace", self.namespace]
        return run([*base, *arguments], stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str, timeout: float = 600.0) -> str:
        """Run ``helm``."""
        base = [tool("helm"), "--kubeconfig", self.kubeconfig, "--namespace", self.namespace]
        return run([*base, *arguments], timeout=timeout)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object as JSON; raises ``CommandFailed`` when it is not there."""
        return dict(json.loads(self("get", kind, name, "-o", "json")))

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a kind."""
        return list(json.loads(self("get", kind, "-o", "json", *arguments))["items"])

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object as JSON; ``None`` when it is not there."""
        found = self("get", kind, name, "-o", "json", "--ignore-not-found")
        return dict(json.loads(found)) if found.strip() else None

    def apply(self, *documents: dict[str, Any]) -> str:
        """Apply objects, in one list."""
        body = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        return self("apply", "-f", "-", stdin=json.dumps(body).encode())

    def finished(self, name: str, seconds: float = 120.0) -> dict[str, Any]:
        """The task of that name, once it has its end."""
        self(
            "wait",
            f"querytask/{name}",
            "--for=condition=Finished",
            f"--timeout={seconds:.0f}s",
            timeout=seconds + 30,
        )
        return self.get("querytask", name)


def from_environment(namespace: str) -> Kube:
    """The cluster of ``CLUSTER``: the embedded node's, or whatever ``KUBECONFIG`` names."""
    embedded = ROOT / ".cluster" / "kubeconfig"
    chosen = os.environ.get("CLUSTER", "embedded")
    path = (
        os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
        if chosen != "embedded"
        else str(embedded)
    )
    if not Path(path).exists():
        raise CommandFailed(
            f"{path} must exist; run `make cluster-up`, or set KUBECONFIG with CLUSTER=existing"
        )
    return Kube(path, namespace)


def until(what: str, condition: Callable[[], Any], seconds: float = 60.0, pause: float = 0.2) -> Any:
    """Ask until the answer is truthy, and give it back; raises ``TimeoutError`` that says what was waited
    for."""
    deadline, answer = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(pause)
    raise TimeoutError(f"{what} must come within {seconds:g} s; last seen: {answer!r}")
