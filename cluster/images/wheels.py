"""The wheels of an image, fetched outside of the build, for the Python of its base."""

import hashlib
import shutil
from pathlib import Path

from cluster.harness.binary import Say
from cluster.harness.commands import run
from cluster.harness.layout import BUILD
from cluster.images.base import PYTHON
from cluster.setup import environment


def command(python: Path, lock: Path, target: Path) -> list[str]:
    """The command line that fetches them. Only wheels: nothing is compiled, neither here nor in the image."""
    return [
        *(str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--only-binary=:all:", "--require-hashes", "--no-deps", f"--python-version={PYTHON}"),
        *(f"--dest={target}", f"--requirement={lock}"),
    ]


def folder(lock: Path, report: Say) -> Path:
    """The folder with the wheels, filled first if need be."""
    key = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    target = BUILD / "wheels" / f"{lock.stem}-{key}"
    if not target.exists():
        report(f"fetching the packages of {lock.name} (usually 20 s)")
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        run(command(environment.install(report), lock, unfinished), seconds=1800)
        unfinished.rename(target)
    return target
