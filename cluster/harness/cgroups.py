"""The control group of all pods of a node, so that two nodes do not tidy each other's pods away."""

import contextlib
import os
from pathlib import Path

from cluster.harness.errors import HarnessError
from cluster.harness.processes import wait_until

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "memory", "pids")


def unified(root: Path = ROOT) -> bool:
    """Whether the machine has one hierarchy (version 2) instead of one for each controller."""
    return (root / "cgroup.controllers").exists()


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The roots in which a group has to be made. Links such as `cpu` -> `cpu,cpuacct` are left out."""
    if unified(root):
        return [root]
    return sorted(
        folder for folder in root.iterdir() if (folder / "cgroup.procs").exists() and not folder.is_symlink()
    )


def missing_controllers(root: Path = ROOT) -> list[str]:
    """Which of the controllers that a kubelet cannot do without this machine lacks."""
    if unified(root):
        offered = set((root / "cgroup.controllers").read_text().split())
    else:
        offered = (
            {name for folder in root.iterdir() for name in folder.name.split(",")} if root.is_dir() else set()
        )
    return [name for name in NEEDED if name not in offered]


def create(name: str, root: Path = ROOT) -> None:
    """Makes the group in every hierarchy. The kubelet wants it to be there and makes the ones below it."""
    if unified(root):
        for controller in (root / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (root / "cgroup.subtree_control").write_text(f"+{controller}")
    for hierarchy in hierarchies(root):
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            # A new group of version 1 has no processors and takes no process before it has been given some.
            if not unified(root) and (hierarchy / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text())


def remove(name: str, root: Path = ROOT) -> None:
    """Removes the group and all below it, once their processes are gone.

    Raises:
        HarnessError: something still runs in there after 10 s.
    """
    groups = [hierarchy / name for hierarchy in hierarchies(root)]
    if not wait_until(lambda: all(gone(group) for group in groups), 10, poll=0.1):
        raise HarnessError(f"the control group {name} must be empty, but processes still run in it")


def gone(group: Path) -> bool:
    """Removes a tree of groups from its leaves on; whether nothing is left of it."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not group.exists()
