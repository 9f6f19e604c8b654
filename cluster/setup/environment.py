"""The virtual environment with all Python packages that tests, checks and tools need."""

import hashlib
import sys
import venv
from pathlib import Path

from cluster.harness.binary import Say, locked
from cluster.harness.commands import run
from cluster.harness.errors import PrerequisiteError
from cluster.harness.layout import BUILD, REPOSITORY

HOME = REPOSITORY / ".venv"
PYTHON = HOME / "bin" / "python"
STAMP = HOME / ".querytask-locks"
LEAST = (3, 11)
# The demo's data is one package of which only the files are wanted, not what it depends on.
LOCKS = {"dev": (), "data": ("--no-deps",)}


def wanted() -> str:
    """Names the state that the environment is to be in."""
    locks = [(REPOSITORY / "requirements" / f"{name}.lock").read_bytes() for name in LOCKS]
    return hashlib.sha256(b"\0".join([*locks, sys.version.encode()])).hexdigest()


def install(report: Say) -> Path:
    """Makes the environment anew when its locks or the Python version have changed; returns its Python.

    Raises:
        PrerequisiteError: this Python is too old, or makes no virtual environments.
    """
    if sys.version_info < LEAST:
        raise PrerequisiteError(f"`python3` must be version 3.11 or newer, but is {sys.version.split()[0]}")
    with locked(BUILD / "environment.lock"):
        if not STAMP.exists() or STAMP.read_text() != wanted():
            report("installing the Python packages into .venv (usually 60 s)")
            make()
            STAMP.write_text(wanted())
    return PYTHON


def make() -> None:
    """Makes the environment from nothing."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise PrerequisiteError(
            "`python3 -m venv` must work; on Debian the package python3-venv brings it"
        ) from None
    venv.create(HOME, with_pip=True, clear=True)
    for name, options in LOCKS.items():
        lock = REPOSITORY / "requirements" / f"{name}.lock"
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--require-hashes", *options, f"--requirement={lock}"], seconds=1800)
