"""A node takes everything with it when it ends, and does not disturb another one beside it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.harness import Node
from cluster.harness.pause import IMAGE as PAUSE
from cluster.harness.record import Record
from tests.e2e.nodes import EMBEDDED, Kubectl, claim, enforce_restricted, eventually, lines, pod, traces

pytestmark = pytest.mark.skipif(not EMBEDDED, reason="another cluster was chosen with CLUSTER")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node")
    yield made
    made.down()


def machine() -> dict[str, object]:
    """What of the machine a node must not change; the wires of other nodes may come and go meanwhile."""
    return {
        "interfaces": sorted(name for name in interfaces() if not name.startswith("qt-")),
        "routes": [line for line in lines("ip", "route") if " qt-" not in line],
        "rules": [line for line in lines("iptables-save") if not line.startswith(("#", ":"))],
        "namespaces": lines("ip", "netns", "list"),
    }


def interfaces() -> list[str]:
    return [line.split(":")[1].strip() for line in lines("ip", "-oneline", "link")]


def run_a_pod(node: Node) -> Kubectl:
    """Leaves a pod running that uses both kinds of volumes, which is when there is most to leave behind."""
    kubectl = Kubectl(node)
    enforce_restricted(kubectl)
    mounts = {"/roomy": ("roomy", "a/b"), "/small": ("small", "")}
    kubectl.apply(
        claim("roomy", "1Gi", "ReadWriteMany"),
        claim("small", "32Mi", "ReadWriteOnce", "querytask-small"),
        pod("sleeper", {"image": PAUSE}, mounts),
    )
    eventually(lambda: kubectl.phase("sleeper") == "Running", "the pod's start")
    return kubectl


def test_down_leaves_nothing_of_a_node_with_a_running_pod(node: Node):
    """No process, mount, interface, control group, loop device or folder, and the machine is as it was."""
    before = machine()
    node.up()
    run_a_pod(node)
    state, identifier = node.layout.state, node.layout.identifier
    assert len(traces(state, identifier)) > 10, "if nothing can be seen now, its absence later proves nothing"
    node.down()
    assert traces(state, identifier) == []
    assert machine() == before
    assert list(node.layout.logs.glob("kubelet.log")), "the logs stay for who wants to know what happened"


def test_down_and_up_can_be_repeated(node: Node):
    """`up` on a running node and `down` on none do nothing; a node can be started where one has ended."""
    node.down()
    node.up()
    first = Record.read(node.layout.record)
    node.up()
    assert Record.read(node.layout.record) == first
    node.down()
    node.down()
    node.up()
    assert node.dead_parts() == []
    assert node.api.ready()


def test_a_node_that_was_killed_is_started_anew(node: Node):
    """A machine that ran out of memory, or somebody with `kill -9`: the next `up` mends it."""
    node.up()
    [etcd] = [part for name, part in node.running().parts.items() if name == "etcd"]
    os.killpg(etcd.pid, signal.SIGKILL)
    eventually(lambda: node.dead_parts() == ["etcd"], "the end of etcd")
    node.up()
    assert node.dead_parts() == []
    assert node.api.ready()


def test_two_nodes_do_not_see_each_other(node: Node, tmp_path: Path):
    """Each has its own addresses and pods, and the first one's end does not harm the second."""
    other = Node(tmp_path / "other")
    try:
        other.up()
        node.up()
        kubectl = run_a_pod(node)
        assert other.api.url != node.api.url
        assert Kubectl(other)("get", "pods", "--output=name") == ""
    finally:
        other.down()
    assert kubectl.phase("sleeper") == "Running"
    assert node.dead_parts() == []
    kubectl.apply(pod("later", {"image": PAUSE}))
    eventually(lambda: kubectl.phase("later") == "Running", "the start of a pod after the other node's end")


def test_the_kernel_ends_everything_with_the_first_process(node: Node):
    """Even if the harness itself is lost, killing one process is enough; containers cannot outlive it."""
    node.up()
    run_a_pod(node)
    assert [pid for pid in processes() if belongs_to(pid, node.layout.identifier)]
    os.kill(node.sandbox.init.pid, signal.SIGKILL)
    eventually(lambda: not node.running().survivors(), "the end of all parts", seconds=15)
    assert [pid for pid in processes() if belongs_to(pid, node.layout.identifier)] == []


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def belongs_to(pid: int, identifier: str) -> bool:
    """Whether a process is in the control group of a node's pods."""
    try:
        return identifier in Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
