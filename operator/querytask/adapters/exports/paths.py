"""Goes down into the exports volume, one folder at a time, without ever following a link.

For every module of this package: nobody here opens, removes or renames by a path that has a slash in it. A
folder is opened by its name in the folder above (``dir_fd``), as a folder and nothing else
(``O_DIRECTORY``, ``O_NOFOLLOW``); so whatever a worker puts into its own folder, and whatever it swaps
while we look, no name leads out of the volume.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from querytask import errors

TRASH = ".trash"
"""Where removed things wait to be unlinked; no namespace begins with a dot."""

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_ATTEMPT = re.compile(r"[1-9][0-9]{0,3}")

_RO = "ReadOnly"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})


def task_names(namespace: str, uid: str) -> tuple[str, str]:
    """The folders of a task's directory; raises ``ValueError`` for names that the cluster cannot have
    given."""
    if not is_namespace(namespace):
        raise ValueError(f'namespace must be a DNS label, not "{namespace}"')
    if not is_uid(uid):
        raise ValueError(f'uid must be letters, digits and hyphens, not "{uid}"')
    return namespace, uid


def attempt_name(attempt: int) -> str:
    """The folder of an attempt; raises ``ValueError`` for a number that none has."""
    if not 1 <= attempt <= 9999:
        raise ValueError(f"attempt must be 1 to 9999, not {attempt}")
    return str(attempt)


def is_namespace(name: str) -> bool:
    """Whether a folder in the root may be a namespace's."""
    return _NAMESPACE.fullmatch(name) is not None


def is_uid(name: str) -> bool:
    """Whether a folder of a namespace may be a task's."""
    return _UID.fullmatch(name) is not None


def attempt_of(name: str) -> int | None:
    """The attempt whose folder is called ``name``."""
    return int(name) if _ATTEMPT.fullmatch(name) else None


@contextlib.contextmanager
def opened(root: Path, *names: str) -> Iterator[int]:
    """The descriptor of the folder that ``names`` lead to from ``root``.

    Raises ``FileNotFoundError`` or ``NotADirectoryError`` when one is not there or is no folder of its own.
    """
    with contextlib.ExitStack() as stack:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, descriptor)
        for name in names:
            descriptor = folder(descriptor, name)
            stack.callback(os.close, descriptor)
        yield descriptor


def folder(parent: int, name: str) -> int:
    """Open the folder ``name`` of ``parent``."""
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno in _NO_FOLDER:
            raise NotADirectoryError(errno.ENOTDIR, "is not a folder", name) from error
        raise


def facts(parent: int, name: str) -> os.stat_result | None:
    """What ``name`` in ``parent`` itself is, a link being a link; ``None`` when it is not there."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_folder(found: os.stat_result) -> bool:
    """Whether it is a folder of its own."""
    return stat.S_ISDIR(found.st_mode)


@contextlib.contextmanager
def translated(root: Path, doing: str) -> Iterator[None]:
    """Raise what the system says against ``doing`` as ``ExportsVolumeError``."""
    try:
        yield
    except OSError as error:
        raise translate(error, root, doing) from error


def translate(error: OSError, root: Path, doing: str) -> errors.ExportsVolumeError:
    """Our error for ``error``."""
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return errors.ExportsVolumeError(f"the exports volume {root} is full: {doing}: {why}", "Full")
    if error.errno in _READ_ONLY:
        return errors.ExportsVolumeError(
            f"the exports volume {root} is read-only: {doing}: {why}", "ReadOnly"
        )
    return errors.ExportsVolumeError(f"the exports volume {root} does not do as it must: {doing}: {why}")
