"""Reads an exported file for somebody far away: opened once, then read piece by piece, for as long as it
takes.

For the REST API. Found as everything here is found, folder by folder and through no link; once it is open, a
removal no longer touches it, so that a download that has begun ends.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from querytask.adapters.exports import paths

_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class ServedFile:
    """An open file; close it."""

    descriptor: int
    size: int
    """In bytes, when it was opened."""

    def read(self, offset: int, size: int) -> bytes:
        """What is there, at most ``size`` bytes; empty at the end."""
        return os.pread(self.descriptor, size, offset)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


def open_file(root: Path, names: tuple[str, ...], name: str) -> ServedFile | None:
    """The file ``name`` in the folder that ``names`` lead to; ``None`` where there is no such file, or
    something that is none. Raises ``ValueError`` for a name that leads elsewhere."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f'name must be that of a file in its folder, not "{name}"')
    try:
        with paths.opened(root, *names) as folder:
            descriptor = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        _check_root(root)
        return None
    return _served(descriptor)


def _served(descriptor: int) -> ServedFile | None:
    found: os.stat_result | None = None
    try:
        found = os.fstat(descriptor)
    finally:
        if found is None or not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
    return ServedFile(descriptor, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _check_root(root: Path) -> None:
    """Where the volume itself is missing, that is no answer about one of its files."""
    with paths.opened(root):
        pass
