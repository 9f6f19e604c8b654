"""Kills from outside a container, as the kernel of a node does: from inside, nothing can kill pid 1 with -9.

Only where the node is the embedded one; elsewhere nobody gives a test the right to do this.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.harness import Node
from tests.e2e.kit.site import Site

_KILL = r"""
for process in /proc/[0-9]*; do
  grep -qs "$1" $process/cgroup || continue
  grep -qs '^NSpid:.*[[:space:]]1$' $process/status || continue
  kill -9 ${process#/proc/} && echo killed ${process#/proc/}
done
"""


def embedded() -> bool:
    """Whether the cluster is the embedded node."""
    return os.environ.get("CLUSTER", "embedded") == "embedded"


needed = pytest.mark.skipif(
    not embedded(), reason="only on the embedded node can a container's pid 1 be killed"
)


_SIGNAL_SHIM = r"""
for process in /proc/[0-9]*; do
  grep -qs "$1" $process/cgroup || continue
  grep -qs '^NSpid:.*[[:space:]]1$' $process/status || continue
  shim=$(sed -n 's/^PPid:[[:space:]]*//p' $process/status)
  kill "-$2" $shim && echo signalled $shim
done
"""


@contextmanager
def frozen_shim(site: Site, pod: str) -> Iterator[None]:
    """While the shim of the pod is stopped its container cannot be: the kubelet asks and gets no answer."""
    statuses = site.kube.get("pod", pod)["status"]["containerStatuses"]
    container = statuses[0]["containerID"].rpartition("/")[2]
    sandbox = Node(report=lambda _: None).sandbox

    def signal(name: str) -> None:
        said = sandbox.run(["sh", "-c", _SIGNAL_SHIM, "sh", container, name])
        if not said.startswith("signalled"):
            raise RuntimeError(f"the shim of pod {pod} must be found by its container {container}: {said!r}")

    signal("STOP")
    try:
        yield
    finally:
        signal("CONT")


def kill_first_process(site: Site, pod: str, name: str = "worker") -> None:
    """``kill -9`` for pid 1 of a container of the pod."""
    statuses = site.kube.get("pod", pod)["status"]["containerStatuses"]
    (status,) = [item for item in statuses if item["name"] == name]
    container = status["containerID"].rpartition("/")[2]
    said = Node(report=lambda _: None).sandbox.run(["sh", "-c", _KILL, "sh", container])
    if not said.startswith("killed"):
        raise RuntimeError(f"pid 1 of pod {pod} must be found by its container {container}: {said!r}")
