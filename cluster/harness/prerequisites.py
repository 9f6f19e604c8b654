"""What the machine must have for a node, asked before anything is started; each lack is one sentence."""

import os
import shutil
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Machine:
    """What was found on a machine. `free_gib` is on the file system of `state`."""

    root: bool
    missing_programs: tuple[str, ...]
    plugins: bool
    missing_controllers: tuple[str, ...]
    namespaces: bool
    loop_devices: bool
    state: Path
    free_gib: float


def check(state: Path) -> None:
    """Looks at everything, so that one run tells all that is missing.

    Raises:
        PrerequisiteError: something is missing; the message has a line for each.
    """
    if found := problems(look(state)):
        raise PrerequisiteError("\n".join(found))


def look(state: Path) -> Machine:
    """Looks at this machine."""
    existing = next(folder for folder in (state, *state.parents) if folder.exists())
    return Machine(
        root=os.geteuid() == 0,
        missing_programs=tuple(name for name in PROGRAMS if shutil.which(name) is None),
        plugins=plugin_folder() is not None,
        missing_controllers=tuple(cgroups.missing_controllers()),
        namespaces=succeeds(["unshare", "--mount", "--net", "--pid", "--fork", "true"]),
        loop_devices=Path("/dev/loop-control").exists(),
        state=existing,
        free_gib=shutil.disk_usage(existing).free / 2**30,
    )


def problems(machine: Machine) -> list[str]:
    """A sentence for each thing that a machine lacks. Without root the others cannot be told."""
    if not machine.root:
        return ["a node must be started as root (the control plane alone needs no root)"]
    programs, controllers = ", ".join(machine.missing_programs), ", ".join(machine.missing_controllers)
    plugins = ", ".join(NEEDED_PLUGINS)
    lacks = {
        f"these programs must be installed: {programs}; `make setup` does it": bool(programs),
        f"the CNI plugins {plugins} must be installed; `make setup` does it": not machine.plugins,
        f"the control groups {controllers} must be mounted at {cgroups.ROOT}": bool(controllers),
        "making namespaces must be allowed (a container must be privileged for it)": not machine.namespaces,
        "loop devices must be there (/dev/loop-control), for small volumes": not machine.loop_devices,
        f"{machine.state} must have {NEEDED_GIB} GiB free, but has {machine.free_gib:.1f} GiB": (
            machine.free_gib < NEEDED_GIB
        ),
    }
    return [sentence for sentence, lacking in lacks.items() if lacking]


def complete_path() -> None:
    """Adds the administrator's programs to this process's PATH, for itself and what it starts."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    missing = [folder for folder in SYSTEM_FOLDERS if folder not in folders]
    os.environ["PATH"] = os.pathsep.join([*folders, *missing])
