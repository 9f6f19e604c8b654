"""Makes the directory of a task and leaves the assignment in it. For ``volume``.

Twice is as good as once: after a crash anywhere in between, the same call finishes what the first one began.
"""

from __future__ import annotations

import os
import secrets
import stat

from querytask.adapters.exports import paths, reading, removal
from querytask_worker.contract import ASSIGNMENT_FILE, PARTIAL_SUFFIX

FOLDER_MODE = 0o770
FILE_MODE = 0o640
"""Operator and worker meet in the volume's group (``fsGroup``); nobody else is let in."""
ASSIGNMENT_BYTES = 64 * 1024 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def prepare(root: int, names: tuple[str, ...], assignment: bytes) -> None:
    """Make the folders ``names``, each in the one before, and the assignment in the last of them; durable
    when it returns."""
    descriptor = os.dup(root)
    try:
        for name in names:
            inner = _folder(root, descriptor, name)
            os.close(descriptor)
            descriptor = inner
        if reading.content(descriptor, ASSIGNMENT_FILE, ASSIGNMENT_BYTES) != assignment:
            write(root, descriptor, ASSIGNMENT_FILE, assignment)
    finally:
        os.close(descriptor)


def write(root: int, folder: int, name: str, data: bytes) -> None:
    """Replace the file ``name``: whoever reads it sees the old text or the new one."""
    unfinished = f"{name}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
    descriptor = os.open(unfinished, _NEW, FILE_MODE, dir_fd=folder)
    try:
        try:
            os.fchmod(descriptor, FILE_MODE)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _clear_way(root, folder, name)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(unfinished, dir_fd=folder)
        raise
    os.fsync(folder)


def _folder(root: int, parent: int, name: str) -> int:
    """Open the folder ``name``, made if need be; what a worker has put in its place goes into the trash."""
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
    except FileExistsError:
        try:
            return paths.folder(parent, name)
        except NotADirectoryError:
            removal.throw_away(root, parent, name)
            os.mkdir(name, FOLDER_MODE, dir_fd=parent)
    descriptor = paths.folder(parent, name)
    # The process's umask has its say in mkdir; the group bit that the volume hands down has to stay.
    os.fchmod(descriptor, FOLDER_MODE | os.fstat(descriptor).st_mode & stat.S_ISGID)
    os.fsync(parent)
    return descriptor


def _clear_way(root: int, folder: int, name: str) -> None:
    found = paths.facts(folder, name)
    if found is not None and paths.is_folder(found):
        removal.throw_away(root, folder, name)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
