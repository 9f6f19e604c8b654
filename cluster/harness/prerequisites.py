"""What the machine must have for a node, asked before anything is started; each lack is one sentence."""

import os
import shutil
from pathlib import Path

from cluster.harness import cgroups
from cluster.harness.commands import succeeds
from cluster.harness.containerd import NEEDED_PLUGINS, plugin_folder
from cluster.harness.errors import PrerequisiteError

PROGRAMS = (
    *("conntrack", "containerd", "ctr", "ip", "iptables", "mkfs.ext4", "mount"),
    *("nsenter", "openssl", "runc", "unshare"),
)
# Where Debian keeps the administrator's programs, which are not on everybody's PATH.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
NEEDED_GIB = 4


def check(state: Path) -> None:
    """Looks at all of them, so that one run tells everything that is missing.

    Raises:
        PrerequisiteError: something is missing; the message has a line for each.
    """
    problems = [problem for problem in (*machine_problems(), *disk_problems(state)) if problem]
    if problems:
        raise PrerequisiteError("\n".join(problems))


def machine_problems() -> list[str]:
    """What the machine itself lacks."""
    if os.geteuid() != 0:
        return ["a node must be started as root (the control plane alone needs no root)"]
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    controllers = cgroups.missing_controllers()
    return [
        f"these programs must be installed: {', '.join(programs)}; `make setup` does it" if programs else "",
        ""
        if plugin_folder()
        else f"the CNI plugins {', '.join(NEEDED_PLUGINS)} must be installed; `make setup` does it",
        f"the control groups {', '.join(controllers)} must be mounted at {cgroups.ROOT}"
        if controllers
        else "",
        ""
        if succeeds(["unshare", "--mount", "--net", "--pid", "--fork", "true"])
        else "making namespaces must be allowed (in a container: run it as a privileged one)",
        ""
        if Path("/dev/loop-control").exists()
        else "loop devices must be there (/dev/loop-control), for small volumes",
    ]


def disk_problems(state: Path) -> list[str]:
    """Too little room for images, volumes and logs."""
    folder = next(parent for parent in (state, *state.parents) if parent.exists())
    free = shutil.disk_usage(folder).free / 2**30
    return [] if free >= NEEDED_GIB else [f"{folder} must have {NEEDED_GIB} GiB free, but has {free:.1f} GiB"]


def complete_path() -> None:
    """Adds the administrator's programs to this process's PATH, for itself and what it starts."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    missing = [folder for folder in SYSTEM_FOLDERS if folder not in folders]
    os.environ["PATH"] = os.pathsep.join([*folders, *missing])
