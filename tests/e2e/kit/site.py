"""One release of the operator in a namespace of its own, and what a user of that namespace does there."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from querytask.names import TASK_UID_LABEL
from scripts import kube as kubectl
from scripts.kube import CommandFailed, Kube, until
from tests.e2e.kit.tasks import task

START_SECONDS = 90.0
END_SECONDS = 180.0
"""Generous: two cores, and other work on them."""

_READ_HISTORY = """
import json, sys
import pysqlite3
file = pysqlite3.connect("file:/history/history.db?mode=ro", uri=True)
file.row_factory = pysqlite3.Row
print(json.dumps([dict(row) for row in file.execute(sys.argv[1], json.loads(sys.argv[2]))], default=str))
"""


@dataclass(frozen=True)
class Site:
    """A release named ``release`` in the namespace of ``kube``."""

    kube: Kube
    release: str = "qt"

    @property
    def namespace(self) -> str:
        """Where the release is."""
        return self.kube.namespace

    @property
    def fullname(self) -> str:
        """What the chart's objects are called."""
        return f"{self.release}-querytask-operator"

    @property
    def operator(self) -> str:
        """The operator's pod."""
        return f"{self.fullname}-0"

    # tasks

    def submit(self, name: str, sql: str, **spec: Any) -> dict[str, Any]:
        """Apply a task; the object as it was created."""
        self.kube.apply(task(name, sql, **spec))
        return self.task(name)

    def task(self, name: str) -> dict[str, Any]:
        """The task as it is now."""
        return self.kube.get("querytask", name)

    def status(self, name: str) -> dict[str, Any]:
        """Its status; empty before the operator's first write."""
        return dict(self.task(name).get("status", {}))

    def ended(self, name: str, seconds: float = END_SECONDS) -> dict[str, Any]:
        """Wait for the end of the task; it, then."""
        return self.kube.finished(name, seconds)

    def run(self, name: str, sql: str, **spec: Any) -> dict[str, Any]:
        """Apply a task and wait for its end."""
        self.submit(name, sql, **spec)
        return self.ended(name)

    def reached(self, name: str, phase: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Wait until the task is in ``phase``; it, then."""
        condition = f"--for=jsonpath={{.status.phase}}={phase}"
        self.kube("wait", f"querytask/{name}", condition, f"--timeout={seconds:.0f}s", timeout=seconds + 30)
        return self.task(name)

    def running(self, name: str, sql: str, **spec: Any) -> dict[str, Any]:
        """Apply a task and wait until its container runs."""
        self.submit(name, sql, **spec)
        return self.reached(name, "Running")

    def cancel(self, name: str) -> None:
        """Cancel the task as the documentation says."""
        self.kube("patch", "querytask", name, "--type=merge", '--patch={"spec":{"cancel":true}}')

    def delete(self, *names: str) -> None:
        """Delete tasks, without waiting."""
        self.kube("delete", "querytask", *names, "--ignore-not-found", "--wait=false")

    # pods

    def pods(self, uid: str) -> list[dict[str, Any]]:
        """The worker pods of the task of that uid."""
        return self.kube.items("pods", f"--selector={TASK_UID_LABEL}={uid}")

    def pod_gone(self, name: str, seconds: float = 60.0) -> None:
        """Wait until the pod is gone."""
        self.kube("wait", f"pod/{name}", "--for=delete", f"--timeout={seconds:.0f}s", timeout=seconds + 30)

    def execute(self, pod: str, *command: str) -> str:
        """Run a command in a pod; raises ``CommandFailed`` when it fails."""
        return self.kube("exec", pod, "--", *command)

    def ready(self, seconds: float = 120.0) -> None:
        """Wait until the operator's pod is there and ready."""
        until("the operator's pod", lambda: self.kube.find("pod", self.operator), seconds)
        self.kube(
            "wait",
            f"pod/{self.operator}",
            "--for=condition=Ready",
            f"--timeout={seconds:.0f}s",
            timeout=seconds,
        )

    # what the operator keeps

    def history(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the history, read in the operator's container without a right to write."""
        program = ("python3", "-c", _READ_HISTORY, sql, json.dumps(values))
        return list(json.loads(self.execute(self.operator, *program)))

    def files(self, uid: str) -> set[str]:
        """Every file of a task on the exports volume, relative to the task's own directory."""
        folder = f"/exports/{self.namespace}/{uid}"
        found = self.execute(self.operator, "find", folder, "-type", "f", "-printf", "%P\\n")
        return set(found.split("\n")) - {""}

    def read(self, path: str) -> bytes:
        """A file of the exports volume, as the documentation says to fetch it: byte for byte."""
        command = [kubectl.tool("kubectl"), "--kubeconfig", self.kube.kubeconfig, "-n", self.namespace]
        command += ["exec", self.operator, "--", "cat", f"/exports/{path}"]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise CommandFailed(done.stderr.decode(errors="replace").strip())
        return done.stdout
