"""Debian's packages that the node, the image builds and the tests need."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.harness.binary import Say, locked
from cluster.harness.commands import run, succeeds
from cluster.harness.errors import CommandError, PrerequisiteError
from cluster.harness.layout import BUILD

DATABASE = "postgresql"
# The program that shows that a package is there, whoever installed it.
PACKAGES = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "curl": "curl",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "e2fsprogs": "mkfs.ext4",
    "iproute2": "ip",
    "iptables": "iptables",
    "jq": "jq",
    "mmdebstrap": "mmdebstrap",
    "npm": "npm",
    "openssl": "openssl",
    DATABASE: "pg_ctlcluster",
    "runc": "runc",
    "util-linux": "nsenter",
}
NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def missing() -> list[str]:
    """The packages whose program is not there. npm comes in many ways, so only its program is asked for."""
    return [name for name, proof in PACKAGES.items() if not (Path(proof).exists() or shutil.which(proof))]


def install(report: Say) -> None:
    """Installs what is missing of all packages.

    Raises:
        PrerequisiteError: something is missing, and it cannot be installed here.
    """
    # Two set-ups may run at a time, and Debian's package manager waits for nobody.
    with locked(BUILD / "debian.lock"):
        install_these(missing(), report)


def install_database(report: Say) -> None:
    """The same for the one package that the tests of the history need."""
    with locked(BUILD / "debian.lock"):
        install_these([name for name in missing() if name == DATABASE], report)


def install_these(packages: list[str], report: Say) -> None:
    """Installs packages, as root."""
    if not packages:
        return
    names = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PrerequisiteError(f"these packages (by Debian's names) must be installed, by root: {names}")
    report(f"installing Debian's packages {names} (usually 40 s)")
    with services_stay_off():
        update()
        apt("install", "--yes", "--quiet", "--no-install-recommends", *packages)


def apt(*arguments: str) -> str:
    """apt-get without questions."""
    return run(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *arguments], seconds=1800)


def update() -> None:
    """Fetches the lists of packages.

    A source of the machine that does not answer need not be one that is used, so a failure is none yet: what
    is really missing shows in the step that comes next.
    """
    with suppress(CommandError):
        apt("update", "--quiet")


@contextmanager
def services_stay_off() -> Iterator[None]:
    """Keeps Debian from starting the daemons of new packages: the node starts a containerd of its own."""
    if NO_SERVICES.exists():
        yield
        return
    NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
    NO_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        NO_SERVICES.unlink(missing_ok=True)


def program_of(package: str, path: str, target: Path) -> None:
    """Takes one program out of a package without installing it, so that its service never runs.

    Raises:
        CommandError: the package cannot be fetched, or does not hold the program.
    """
    folder = target.parent / f"{target.name}.unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not succeeds(["apt-cache", "show", package]):
        update()
    # apt fetches as a user of its own where it can, and warns where that one may not write; as root it just
    # does.
    run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "--quiet", package], cwd=folder, seconds=600)
    [file] = folder.glob("*.deb")
    run(["dpkg-deb", "--extract", str(file), str(folder)])
    (folder / path).rename(target)
    shutil.rmtree(folder)
