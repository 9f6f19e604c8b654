"""The empty folders of the machine that nodes mount over, each in its own mount namespace.

A folder that is removed takes the mounts on it away in *all* namespaces. So the last node to end removes
them, and a lock of the whole machine keeps another from starting meanwhile.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

LOCKED_FOLDER = Path("/var/lib")
PROCESSES = Path("/proc")


@contextmanager
def machine_lock(folder: Path = LOCKED_FOLDER) -> Iterator[None]:
    """One start or end at a time.

    The lock is on a folder that every machine has, so no file is left of it.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make(places: Iterable[str], processes: Path = PROCESSES) -> list[str]:
    """Makes the folders that are missing. Hold the lock until they are mounted over.

    Returns:
        Those that are to be removed when the last node has ended, parents first: the ones that were made, and
        the empty ones that another node, which has made them, mounts over just now.
    """
    used = mounted_anywhere(processes)
    ours: list[str] = []
    for place in map(Path, places):
        missing = [folder for folder in (place, *place.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o755)
            ours.append(str(folder))
        if not missing and str(place) in used and not any(place.iterdir()):
            ours.append(str(place))
    return ours


def remove(places: Sequence[str], processes: Path = PROCESSES) -> None:
    """Removes folders that `make` returned, but for those that hold something or are still mounted over.

    Hold the lock.
    """
    used = mounted_anywhere(processes)
    for place in reversed(places):
        if place not in used:
            with suppress(OSError):
                os.rmdir(place)


def mounted_anywhere(processes: Path = PROCESSES) -> set[str]:
    """Every mount point of every mount namespace that a process lives in."""
    found: set[str] = set()
    namespaces: set[str] = set()
    for process in processes.iterdir():
        with suppress(OSError):
            namespace = os.readlink(process / "ns" / "mnt")
            if namespace not in namespaces:
                namespaces.add(namespace)
                found |= {line.split()[4] for line in (process / "mountinfo").read_text().splitlines()}
    return found
