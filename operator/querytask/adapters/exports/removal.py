"""Removes from the exports volume: renamed away into the trash first, unlinked after. For ``volume``.

Once it is in the trash a thing is gone for everybody who looks for it, in one step, however much there is
to unlink, and a crash leaves nothing half removed under its name. The trash is emptied flat: a folder
inside a folder is moved up into the trash itself, so that neither depth nor number of what a worker has
made costs memory or open files. Links are unlinked, never followed, and no file's mode or content is ever
changed: it might have a second name elsewhere.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from querytask.adapters.exports import paths
from querytask_worker.contract import PARTIAL_SUFFIX

BUDGET_SECONDS = 30.0
"""For how long one call empties the trash; a worker that goes on writing into what was thrown away cannot
hold it longer."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What was unlinked: how many files, and how many bytes of the volume that freed."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Removal) -> Removal:
        return Removal(self.files + other.files, self.bytes + other.bytes)


def throw_away(root: int, parent: int, name: str) -> bool:
    """Move ``name`` of the folder ``parent`` into the trash; false when it is not there."""
    trash = open_trash(root)
    try:
        return _move(parent, name, trash)
    finally:
        os.close(trash)


def remove_partials(root: int, folder: int) -> Removal:
    """Remove from ``folder`` whatever is called ``.partial``."""
    removed = Removal()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(PARTIAL_SUFFIX):
                continue
            if entry.is_dir(follow_symlinks=False):
                throw_away(root, folder, entry.name)
            else:
                removed += _unlink(folder, entry.name)
    return removed


def open_trash(root: int) -> int:
    """The descriptor of the trash, which is made if need be."""
    try:
        os.mkdir(paths.TRASH, 0o700, dir_fd=root)
    except FileExistsError:
        pass
    return paths.folder(root, paths.TRASH)


def empty(root: int, clock: Callable[[], float] = time.monotonic) -> tuple[Removal, OSError | None]:
    """Unlink what is in the trash, for ``BUDGET_SECONDS`` at most; also the first thing that kept something
    in it."""
    trash, until = open_trash(root), clock() + BUDGET_SECONDS
    total, fault = Removal(), None
    try:
        moved = True
        while moved and clock() < until:
            moved, removed, fault = _pass(trash)
            total += removed
    finally:
        os.close(trash)
    return total, fault


def _pass(trash: int) -> tuple[bool, Removal, OSError | None]:
    moved, removed, fault = False, Removal(), None
    with os.scandir(trash) as entries:
        for entry in entries:
            try:
                removed += _destroy(trash, entry.name)
                moved = True
            except OSError as error:
                fault = fault or error
    return moved, removed, fault


def remove_folder(trash: int, name: str) -> Removal:
    """Unlink the folder ``name`` of the trash; folders inside it are moved up into the trash."""
    open_up(trash, name)
    folder = paths.folder(trash, name)
    try:
        removed = _clear(trash, folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=trash)
    return removed


def _destroy(trash: int, name: str) -> Removal:
    found = paths.facts(trash, name)
    if found is None:
        return Removal()
    return remove_folder(trash, name) if paths.is_folder(found) else _unlink(trash, name)


def _clear(trash: int, folder: int) -> Removal:
    removed = Removal()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                removed += _unlink(folder, entry.name)
            elif not _remove_empty(folder, entry.name):
                open_up(folder, entry.name)
                _move(folder, entry.name, trash)
    return removed


def _unlink(folder: int, name: str) -> Removal:
    found = paths.facts(folder, name)
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return Removal()
    return Removal(1, found.st_blocks * 512 if found and found.st_nlink == 1 else 0)


def _remove_empty(folder: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _move(parent: int, name: str, trash: int) -> bool:
    target = f"{name if paths.is_uid(name) else 'part'}-{secrets.token_hex(8)}"
    try:
        os.rename(name, target, src_dir_fd=parent, dst_dir_fd=trash)
    except FileNotFoundError:
        return False
    except PermissionError:
        open_up(parent, name)
        os.rename(name, target, src_dir_fd=parent, dst_dir_fd=trash)
    return True


def open_up(parent: int, name: str) -> None:
    """Let us into a folder whose writer shut it, where it is ours to do so; what is no folder stays as it
    is."""
    try:
        descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return
        raise
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
    except OSError:
        pass  # another's folder: if its mode matters, the next step says so
    finally:
        os.close(descriptor)
