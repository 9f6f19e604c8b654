"""Naming what goes into a build, so that a step is repeated when that has changed and only then."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

IGNORED = ("__pycache__",)


def files(paths: Iterable[Path]) -> list[Path]:
    """All files of some files and folders, without what a build makes itself."""
    found: set[Path] = set()
    for path in paths:
        candidates = [path] if path.is_file() else path.rglob("*")
        found.update(c for c in candidates if c.is_file() and not any(part in IGNORED for part in c.parts))
    return sorted(found)


def fingerprint(root: Path, paths: Iterable[Path], *texts: str) -> str:
    """A short hash of files, their names below `root` and whether they can be run, and of some texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for file in files(paths):
        executable = b"x" if file.stat().st_mode & 0o100 else b"-"
        content = file.read_bytes()
        digest.update(str(file.relative_to(root)).encode() + b"\0" + executable)
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:12]
