"""Refuses a history on a network file system: SQLite's write-ahead log needs memory that is shared between
processes, and file locks that hold, and on such a file system it damages the database sooner or later,
without a word.

The kernel tells which mount an open directory lies on; so links, bind mounts and mounts on top of mounts
are no matter.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from querytask import errors

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs"}
)
LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs"})
"""File systems in user space are refused, for nearly all stand for a network; this one stands for a
container's own root."""


def check_local(directory: Path, mounts: Path = MOUNTS) -> None:
    """Raise ``StoreRefused`` when ``directory`` lies on a network file system, ``StoreUnavailable`` when it
    cannot be opened.

    Where the kernel does not tell, as in some sandboxes, nothing is refused.
    """
    kind = filesystem_of(directory, mounts)
    if kind is not None and is_network(kind):
        raise errors.StoreRefused(
            f"the history must be on a local file system, but {directory} is on {kind}:"
            " give the operator a volume that is attached to its node as a disk"
        )


def is_network(kind: str) -> bool:
    """Whether a file system of that kind, as ``mount`` names it, is or may be on another machine."""
    fuse = kind == "fuse" or kind.startswith("fuse.")
    return kind in NETWORK or (fuse and kind not in LOCAL_FUSE)


def filesystem_of(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of the file system that ``directory`` lies on, or ``None`` when the kernel does not tell."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise errors.StoreUnavailable(
            f"{directory} must be a readable directory: {error.strerror}"
        ) from error
    try:
        told = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
        table = mounts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
    mount = re.search(r"^mnt_id:\s*(\d+)$", told, re.MULTILINE)
    return _kind(table, mount.group(1)) if mount else None


def _kind(table: str, mount: str) -> str | None:
    for line in table.splitlines():
        head, _, tail = line.partition(" - ")
        if head.split(" ", 1)[0] == mount and tail:
            return tail.split(" ", 1)[0]
    return None
