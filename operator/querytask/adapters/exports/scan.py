"""Looks through the exports volume for the collector: one ``DirectoryFacts`` for each task's directory.

One folder is open at a time and nothing is gathered but numbers, so that the volume's size does not matter.
What is no namespace's or task's folder by its name and kind is not looked at: the volume may hold
``lost+found`` and other people's things, and they are not ours to collect.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Generator, Iterator
from pathlib import Path

from querytask.adapters.exports import paths, reading
from querytask.adapters.exports.mailbox import Damaged
from querytask.core import clock
from querytask.core.collection_facts import AttemptFacts, DirectoryFacts, ManifestFacts, Moment
from querytask_worker.contract import PARTIAL_SUFFIX

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def directories(root: Path) -> Generator[DirectoryFacts, None, None]:
    """The facts of every task's directory; one that vanishes meanwhile is left out."""
    for namespace in _folders(root):
        if not paths.is_namespace(namespace):
            continue
        for uid in _folders(root, namespace):
            if paths.is_uid(uid) and (found := directory(root, namespace, uid)) is not None:
                yield found


def directory(root: Path, namespace: str, uid: str) -> DirectoryFacts | None:
    """The facts of one task's directory; ``None`` when it is not there."""
    try:
        with paths.opened(root, *paths.task_names(namespace, uid)) as task:
            return _facts(task, namespace, uid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return _shut(root, namespace, uid)


def _folders(root: Path, *names: str) -> Iterator[str]:
    try:
        with paths.opened(root, *names) as folder, os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        if not names:
            raise


def _facts(task: int, namespace: str, uid: str) -> DirectoryFacts:
    newest, attempts = _changed(os.fstat(task)), []
    with os.scandir(task) as entries:
        for entry in entries:
            found = paths.facts(task, entry.name)
            number = paths.attempt_of(entry.name)
            if found is None:
                continue
            newest = max(newest, _changed(found))
            if number is not None and paths.is_folder(found) and (attempt := _attempt(task, number)):
                attempts.append(attempt)
                newest = max(newest, attempt.newest)
    return DirectoryFacts(
        namespace=namespace,
        uid=uid,
        manifest=_manifest(task, namespace, uid),
        attempts=tuple(sorted(attempts, key=lambda item: item.number)),
        newest=newest,
    )


def _shut(root: Path, namespace: str, uid: str) -> DirectoryFacts | None:
    """Of a directory that its writer does not let us into: it counts as published until it is old."""
    with paths.opened(root, namespace) as parent:
        found = paths.facts(parent, uid)
    return found and DirectoryFacts(namespace, uid, ManifestFacts(None, None), (), _changed(found))


def _attempt(task: int, number: int) -> AttemptFacts | None:
    try:
        folder = paths.folder(task, str(number))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    try:
        newest, partials = _changed(os.fstat(folder)), 0
        with os.scandir(folder) as entries:
            for entry in entries:
                if (found := paths.facts(folder, entry.name)) is not None:
                    newest = max(newest, _changed(found))
                    partials += entry.name.endswith(PARTIAL_SUFFIX)
        return AttemptFacts(number, partials, newest)
    finally:
        os.close(folder)


def _manifest(task: int, namespace: str, uid: str) -> ManifestFacts | None:
    found = reading.manifest(task, namespace, uid)
    if found is None:
        return None
    if isinstance(found, Damaged):
        return ManifestFacts(None, None)
    return ManifestFacts(found.attempt, clock.parse(found.expires_at))


def _changed(found: os.stat_result) -> Moment:
    """When it last changed. A writer can set a file's time to any other; but the time of that change, it
    cannot."""
    return _EPOCH + dt.timedelta(microseconds=min(found.st_mtime_ns, found.st_ctime_ns) // 1000)
