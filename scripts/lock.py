"""Compiles `requirements/*.in` into locks with versions and hashes, for every platform."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
# The demo's data is one package of which only the files are wanted.
OPTIONS = {"data": ["--no-deps"]}


def command(name: str, upgrades: list[str]) -> list[str]:
    """The command line that compiles one file.

    Python 3.11 is the oldest that is served; newer ones get markers.
    """
    return [
        *(
            str(ROOT / ".venv" / "bin" / "uv"),
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--python-version=3.11",
        ),
        *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
        *OPTIONS.get(name, []),
        *upgrades,
        *(f"--output-file={name}.lock", f"{name}.in"),
    ]


def main() -> int:
    """Compiles all; the versions that are locked stay unless an upgrade is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", action="append", default=[], help="upgrade this package")
    parser.add_argument("--upgrade", action="store_true", help="upgrade all packages")
    arguments = parser.parse_args()
    upgrades = [f"--upgrade-package={name}" for name in arguments.package]
    if arguments.upgrade:
        upgrades.append("--upgrade")
    for source in sorted(REQUIREMENTS.glob("*.in")):
        print(f"compiling {source.name}", flush=True)
        subprocess.run(command(source.stem, upgrades), cwd=REQUIREMENTS, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
