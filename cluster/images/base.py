"""The images' base: Debian with Python, made from packages."""

from pathlib import Path

from cluster.harness.binary import Say
from cluster.harness.commands import run
from cluster.harness.layout import BUILD

SUITE = "bookworm"
PYTHON = "3.11"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# What nobody reads in a container. Licences stay.
EXCLUDED = (
    *("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"),
    *("/usr/share/bash-completion/*", "/usr/share/lintian/*", "/usr/share/groff/*"),
)
INCLUDED = ("/usr/share/doc/*/copyright",)
REMOVED = ("/var/lib/apt/lists/*", "/var/cache/apt/*", "/var/cache/debconf/*", "/var/log/*", "/etc/hostname")


def command(target: Path) -> list[str]:
    """The command line that makes the archive of the file system."""
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    options += [f"--dpkgopt=path-include={pattern}" for pattern in INCLUDED]
    removal = " ".join(f'"$1"{pattern}' for pattern in REMOVED)
    options.append(f"--customize-hook=rm -rf {removal}")
    return [
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"),
        *options,
        *(SUITE, str(target)),
    ]


def archive(report: Say) -> Path:
    """The archive, made first if need be.

    It is made once for its list of packages, not for each new version of one.
    """
    folder = BUILD / "images"
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join([SUITE, *PACKAGES])
    target = folder / f"base-{name}.tar"
    if not target.exists():
        report("making the images' base from Debian's packages (usually 30 s)")
        unfinished = target.with_suffix(".unfinished.tar")
        run(command(unfinished), seconds=1800)
        unfinished.rename(target)
    return target
