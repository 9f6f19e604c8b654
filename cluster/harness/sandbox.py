"""The pid, mount and network namespaces that a node lives in.

Its mounts and interfaces are invisible outside, its daemons find their usual paths (`/var/lib/kubelet`,
`/run`), and when the first process in there is killed the kernel ends all others and takes the mounts and the
network with it: nothing can be left behind. Two nodes, or a node and another Kubernetes of the machine, do
not see each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.commands import run, tail_of
from cluster.harness.errors import PartError
from cluster.harness.processes import ProcessRef, children, daemon, reference, wait_until

# Paths that programs have built in, and the folder of the state that is put there. `/run` is a tmpfs.
PRIVATE_FOLDERS = {
    "/var/lib/kubelet": "kubelet",
    "/var/lib/containerd": "containerd",
    "/var/lib/cni": "cni-state",
    "/var/log/pods": "pod-logs",
    "/var/log/containers": "container-logs",
}


@dataclass(frozen=True)
class Sandbox:
    """`holder` is what waits outside, `init` is pid 1 in there (its id is the one seen outside)."""

    holder: ProcessRef
    init: ProcessRef

    @classmethod
    def create(cls, binary: Path, log: Path) -> "Sandbox":
        """Makes the namespaces, with nothing in them but pid 1."""
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        holder = daemon([*command, "--propagation=private", str(binary), "init"], log)
        wait_until(lambda: bool(children(holder.pid)) or not holder.alive(), 10)
        if not children(holder.pid):
            raise PartError(f"the node's first process must start within 10 s:\n{tail_of(log)}")
        return cls(holder, reference(children(holder.pid)[0]))

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs a program in the namespaces. `ip netns exec` would hide the cgroups."""
        return ["nsenter", f"--target={self.init.pid}", "--mount", "--net", "--pid", "--", *argv]

    def run(self, argv: Sequence[str]) -> str:
        """Runs a small program in the namespaces to its end."""
        return run(self.enter(argv))

    def path(self, inside: Path) -> Path:
        """Where the machine sees a path of the node, mounts included, while the node runs."""
        return Path(f"/proc/{self.init.pid}/root{inside}")

    def mount_private_folders(self, state: Path) -> None:
        """Puts folders of `state` in the places that the daemons have built in."""
        script = [
            "set -e",
            "mount --make-rshared /",
            "mount -t tmpfs -o mode=755 run /run",
            "mkdir -p /run/lock",
        ]
        for place, name in PRIVATE_FOLDERS.items():
            (state / name).mkdir(parents=True, exist_ok=True)
            script.append(f'mount --bind "$1/{name}" {place}')
        self.run(["sh", "-c", "\n".join(script), "sh", str(state)])
