"""The exports volume as the others see it: every call off the event loop, every error an
``ExportsVolumeError``.

For the applier (``prepare``), the observer (``read``), the collector (``scan`` and the removals), the probes
and the API (``open_file``). Reading has threads of its own, so that a large removal never keeps a reconcile
waiting; removals have one thread, and so never meet each other. The API gives no read more than a bounded
time: ``patience``.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from querytask import errors
from querytask.adapters.exports import paths, reading, removal, scan, selftest, serving, writing
from querytask.adapters.exports.mailbox import Damaged, Mailbox
from querytask.adapters.exports.patience import PatientThreads
from querytask.adapters.exports.removal import Removal
from querytask.core.collection_facts import DirectoryFacts
from querytask_worker import contract

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How long a look for a file may take, where reads have a bounded time."""
AT_ONCE = 64
"""How many directories are looked at before the scan lets others have the thread."""


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the volume."""

    free: int
    """What the operator's user may still write."""
    total: int


class ExportsVolume:
    """The volume at ``root``. Names that no cluster gives raise ``ValueError``. With ``patience``, a read
    that takes longer than so many seconds is an ``ExportsVolumeError``, and so is one that no thread is free
    for because others hang."""

    def __init__(self, root: Path, threads: int = 4, patience: float | None = None) -> None:
        self.root = root
        self._patient = None if patience is None else PatientThreads(threads, patience)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="exports")
        self._removals = ThreadPoolExecutor(1, thread_name_prefix="exports-removal")

    async def check(self) -> None:
        """See that the volume can do what the mailbox needs; raises ``ExportsVolumeError`` with what it
        cannot."""
        await self._run(lambda: selftest.check(self.root), "checking it")

    async def space(self) -> Space:
        """How much is free."""
        return await self._run(self._space, "asking for its free space")

    async def prepare(self, namespace: str, uid: str, attempt: int, assignment: contract.Assignment) -> None:
        """Make the attempt's folder with its assignment; nothing changes where it is there already. Durable
        when it returns."""
        names = (*paths.task_names(namespace, uid), paths.attempt_name(attempt))
        text = contract.dump(assignment)
        await self._run(lambda: self._prepare(names, text), f"preparing {'/'.join(names)}")

    async def read(self, namespace: str, uid: str, attempt: int | None) -> Mailbox:
        """What the worker of that attempt has written, or the manifest alone; all ``None`` where there is
        no directory."""
        return await self._run(lambda: self._read(namespace, uid, attempt), f"reading {namespace}/{uid}")

    async def read_log(self, namespace: str, uid: str, attempt: int) -> str | None:
        """The end of the worker's log; ``None`` where it left none that can be read."""
        names = (*paths.task_names(namespace, uid), paths.attempt_name(attempt))
        return await self._run(lambda: self._log(names), f"reading the log of {'/'.join(names)}")

    async def open_file(self, namespace: str, uid: str, attempt: int, name: str) -> serving.ServedFile | None:
        """A file of that attempt, to be read and closed; ``None`` where there is none."""
        names = (*paths.task_names(namespace, uid), paths.attempt_name(attempt))
        doing = f"opening a file of {'/'.join(names)}"
        return await self._run(lambda: serving.open_file(self.root, names, name), doing, drop=_close)

    async def has_file(self, namespace: str, uid: str, attempt: int, name: str) -> bool:
        """Whether that file of the attempt is there."""
        names = (*paths.task_names(namespace, uid), paths.attempt_name(attempt))

        def look() -> bool:
            file = serving.open_file(self.root, names, name)
            _close(file)
            return file is not None

        return await self._run(look, f"looking for a file of {'/'.join(names)}", seconds=LOOK_SECONDS)

    async def read_file(self, file: serving.ServedFile, offset: int, size: int) -> bytes:
        """The next piece of an open file."""
        return await self._run(lambda: file.read(offset, size), "reading a file")

    def let_go(self, file: serving.ServedFile) -> None:
        """Close a file without waiting for that: of a mount that hangs even closing may."""
        if self._patient is None:
            file.close()
        else:
            self._patient.post(file.close)

    async def directory(self, namespace: str, uid: str) -> DirectoryFacts | None:
        """The facts of one task's directory."""
        return await self._run(
            lambda: scan.directory(self.root, namespace, uid), f"looking at {namespace}/{uid}"
        )

    async def scan(self) -> AsyncIterator[list[DirectoryFacts]]:
        """The facts of every task's directory, some at a time."""
        directories = scan.directories(self.root)
        # Whoever is cancelled while a thread looks must not close what that thread still uses.
        turns = threading.Lock()

        def some() -> list[DirectoryFacts]:
            with turns:
                return list(islice(directories, AT_ONCE))

        def close() -> None:
            with turns:
                directories.close()

        try:
            while found := await self._run(some, "looking through it"):
                yield found
        finally:
            await self._run(close, "looking through it")

    async def remove_task(self, namespace: str, uid: str) -> Removal:
        """Remove a task's directory."""
        folder, name = paths.task_names(namespace, uid)
        return await self._remove((folder,), name)

    async def remove_attempt(self, namespace: str, uid: str, attempt: int) -> Removal:
        """Remove the folder of one attempt."""
        return await self._remove(paths.task_names(namespace, uid), paths.attempt_name(attempt))

    async def remove_partials(self, namespace: str, uid: str, attempt: int) -> Removal:
        """Remove the files of one attempt that were never finished."""
        names = (*paths.task_names(namespace, uid), paths.attempt_name(attempt))
        # Not behind the removals: a cancelled task waits for it.
        return await self._run(lambda: self._partials(names), f"removing partial files of {'/'.join(names)}")

    async def empty_trash(self) -> Removal:
        """Unlink what a removal that was broken off has left; an error says what cannot be unlinked."""
        return await self._run(self._empty, "emptying its trash", self._removals)

    def close(self) -> None:
        """Wait for what is under way, but for reads that had their time; safe to repeat."""
        if self._patient is not None:
            self._patient.close()
        self._pool.shutdown()
        self._removals.shutdown()

    async def _run(
        self,
        work: Callable[[], T],
        doing: str,
        pool: Executor | None = None,
        *,
        drop: Callable[[T], object] | None = None,
        seconds: float | None = None,
    ) -> T:
        def translated() -> T:
            with paths.translated(self.root, doing):
                return work()

        if pool is None and self._patient is not None:
            try:
                return await self._patient.run(translated, seconds, drop)
            except TimeoutError as error:
                why = str(error) or f"{doing} took too long"
                sentence = f"the exports volume {self.root} does not answer: {why}"
                raise errors.ExportsVolumeError(sentence) from error
        return await asyncio.get_running_loop().run_in_executor(pool or self._pool, translated)

    async def _remove(self, names: tuple[str, ...], name: str) -> Removal:
        doing = f"removing {'/'.join((*names, name))}"
        return await self._run(lambda: self._throw_away(names, name), doing, self._removals)

    def _space(self) -> Space:
        found = os.statvfs(self.root)
        return Space(free=found.f_bavail * found.f_frsize, total=found.f_blocks * found.f_frsize)

    def _prepare(self, names: tuple[str, ...], text: bytes) -> None:
        with paths.opened(self.root) as root:
            writing.prepare(root, names, text)

    def _read(self, namespace: str, uid: str, attempt: int | None) -> Mailbox:
        try:
            with paths.opened(self.root, *paths.task_names(namespace, uid)) as task:
                return reading.mailbox(task, attempt, namespace, uid)
        except PermissionError as error:
            shut = reading.shut(error)
            return Mailbox(shut, shut, shut)
        except (FileNotFoundError, NotADirectoryError):
            return self._nothing()

    def _nothing(self) -> Mailbox:
        """An empty mailbox, unless it is the volume that is missing."""
        with paths.opened(self.root):
            return Mailbox()

    def _log(self, names: tuple[str, ...]) -> str | None:
        try:
            with paths.opened(self.root, *names) as folder:
                found = reading.content(folder, contract.LOG_FILE, reading.LOG_BYTES, tail=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if found is None or isinstance(found, Damaged) else found.decode("utf-8", "replace")

    def _throw_away(self, names: tuple[str, ...], name: str) -> Removal:
        with paths.opened(self.root) as root:
            try:
                with paths.opened(self.root, *names) as parent:
                    removal.throw_away(root, parent, name)
            except (FileNotFoundError, NotADirectoryError):
                pass  # somebody else has removed it: what was wanted is true
            # What stays in the trash is out of everybody's way; ``empty_trash`` says why it stays.
            return removal.empty(root)[0]

    def _partials(self, names: tuple[str, ...]) -> Removal:
        try:
            try:
                return self._without_partials(names)
            except PermissionError:
                with paths.opened(self.root, *names[:-1]) as task:
                    removal.open_up(task, names[-1])
                return self._without_partials(names)
        except (FileNotFoundError, NotADirectoryError):
            return Removal()

    def _without_partials(self, names: tuple[str, ...]) -> Removal:
        with paths.opened(self.root) as root, paths.opened(self.root, *names) as folder:
            return removal.remove_partials(root, folder)

    def _empty(self) -> Removal:
        with paths.opened(self.root) as root:
            removed, fault = removal.empty(root)
            if fault is not None:
                raise fault
            return removed


def _close(file: serving.ServedFile | None) -> None:
    if file is not None:
        file.close()
