"""Tries whether the exports volume can do what the mailbox is built on: write, flush, rename, and publish
by a hard link exactly once.

For the operator's start. Not every volume can: some object stores that pose as file systems know no links,
some forget to refuse a second one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from querytask import errors
from querytask.adapters.exports import paths, removal

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def check(root: Path) -> None:
    """Raise ``ExportsVolumeError``, naming what the volume at ``root`` cannot do."""
    with _must(root, "be a directory that can be read"), paths.opened(root) as descriptor:
        with _must(root, "be writable"):
            trash = removal.open_trash(descriptor)
        try:
            _try(root, trash, f"check-{secrets.token_hex(8)}")
        finally:
            os.close(trash)


def _try(root: Path, trash: int, name: str) -> None:
    with _must(root, "be writable"):
        os.mkdir(name, 0o700, dir_fd=trash)
    folder = paths.folder(trash, name)
    try:
        _steps(root, folder)
    finally:
        os.close(folder)
        with _must(root, "let files be removed"):
            removal.remove_folder(trash, name)


def _steps(root: Path, folder: int) -> None:
    with _must(root, "be writable, and flush what is written"):
        descriptor = os.open("first", _CREATE, 0o600, dir_fd=folder)
        try:
            os.write(descriptor, b"querytask")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.fsync(folder)
    with _must(root, "let files be renamed"):
        os.rename("first", "second", src_dir_fd=folder, dst_dir_fd=folder)
    with _must(root, "know hard links, by which results are published"):
        os.link("second", "third", src_dir_fd=folder, dst_dir_fd=folder)
    try:
        os.link("second", "third", src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        return
    raise errors.ExportsVolumeError(
        f"the exports volume {root} must refuse a hard link to a name that is taken, but does not"
    )


@contextlib.contextmanager
def _must(root: Path, do: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fault = paths.translate(error, root, "").fault
        why = error.strerror or error
        raise errors.ExportsVolumeError(f"the exports volume {root} must {do}: {why}", fault) from error
