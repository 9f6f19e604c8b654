"""The worker's side of the mailbox: its own task's directory, and in it the directory of its attempt.

The supervisor uses it to read the assignment and to tell progress and outcome, the engine process to write
and publish the result. Every message is replaced as a whole, so that a reader never sees half of one.
``publish`` is the commit point of a task.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from . import contract
from .contract import PARTIAL_SUFFIX, Assignment, Manifest, Outcome, Progress

OUTCOME_RESERVE_BYTES = 16 * 1024
"""Set aside at the start, so that an attempt that fills the volume can still say so."""


class Mailbox:
    """The files of one attempt below ``task_dir``. Methods raise ``OSError`` unless they say otherwise."""

    def __init__(self, task_dir: str, attempt: int) -> None:
        self.task_dir = task_dir
        self.attempt = attempt
        self.directory = os.path.join(task_dir, str(attempt))

    def path(self, name: str) -> str:
        """Where a file of this attempt lies."""
        return os.path.join(self.directory, name)

    def assignment(self) -> Assignment:
        """What to do. Raises ``ValueError`` when it cannot be understood or is another attempt's."""
        with open(self.path(contract.ASSIGNMENT_FILE), "rb") as file:
            assignment = contract.load(Assignment, file.read())
        if assignment.attempt != self.attempt:
            raise ValueError(f"Assignment.attempt must be {self.attempt}, not {assignment.attempt}")
        return assignment

    def published(self) -> Manifest | None:
        """The task's result, whichever attempt has published it.

        Raises ``ValueError`` when it is no manifest.
        """
        try:
            with open(os.path.join(self.task_dir, contract.MANIFEST_FILE), "rb") as file:
                return contract.load(Manifest, file.read())
        except FileNotFoundError:
            return None

    def publish(self, manifest: Manifest) -> bool:
        """Make ``manifest`` the task's result; False when another attempt's result is there already.

        When this returns the result is durable, and nothing takes it back.
        """
        own = self.path(contract.MANIFEST_FILE)
        self._replace(contract.MANIFEST_FILE, contract.dump(manifest), durable=True)
        try:
            os.link(own, os.path.join(self.task_dir, contract.MANIFEST_FILE))
        except FileExistsError:
            winner = self.published()
            return winner is not None and winner.attempt == self.attempt
        sync_directory(self.task_dir)
        return True

    def reserve_outcome(self) -> None:
        """Set room for the outcome aside while there is some."""
        with open(self.path(contract.OUTCOME_FILE + PARTIAL_SUFFIX), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, OUTCOME_RESERVE_BYTES)

    def write_outcome(self, outcome: Outcome) -> None:
        """Tell how the attempt ended; durable when this returns. The room set aside stays when this fails."""
        self._replace(contract.OUTCOME_FILE, contract.dump(outcome), durable=True, keep=True)

    def make_room(self) -> None:
        """Give up what the outcome can do without: progress and log."""
        for name in (contract.PROGRESS_FILE, contract.LOG_FILE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))

    def write_progress(self, progress: Progress) -> None:
        self._replace(contract.PROGRESS_FILE, contract.dump(progress), durable=False)

    def write_log(self, tail: bytes) -> None:
        self._replace(contract.LOG_FILE, tail, durable=False)

    def remove_result_files(self) -> None:
        """Remove whatever the attempt made but what tells of it: files of the export, whole or partial, and
        its manifest.
        """
        kept = {contract.ASSIGNMENT_FILE, contract.PROGRESS_FILE, contract.OUTCOME_FILE, contract.LOG_FILE}
        kept.add(contract.OUTCOME_FILE + PARTIAL_SUFFIX)
        for path in _files(self.directory):
            if os.path.basename(path) not in kept:
                os.unlink(path)

    def _replace(self, name: str, data: bytes, *, durable: bool, keep: bool = False) -> None:
        """Write over a partial file that may have been set aside: blocks are given back once the text is in.

        Unless it is to be kept, a partial file that could not be written is removed.
        """
        partial = self.path(name + PARTIAL_SUFFIX)
        try:
            _overwrite(partial, data, durable=durable)
        except OSError:
            if not keep:
                with contextlib.suppress(OSError):
                    os.unlink(partial)
            raise
        os.rename(partial, self.path(name))
        if durable:
            sync_directory(self.directory)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(directory: str) -> None:
    """Remove what is below ``directory``, not itself; what is gone, or was never there, is no error."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)


def tree_bytes(directory: str) -> int:
    """The bytes that the files below ``directory`` occupy; files that vanish meanwhile do not count."""
    total = 0
    for path in _files(directory):
        try:
            total += os.stat(path, follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def _files(directory: str) -> Iterator[str]:
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
                    yield path
            except FileNotFoundError:
                pass


def _overwrite(path: str, data: bytes, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        rest = data
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.ftruncate(descriptor, len(data))
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
