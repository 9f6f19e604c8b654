"""Puts a history in order before it is opened: finds out whether it is damaged or lost, moves it aside, and
puts the newest usable backup in its place.

For the composition root, which has the lock on the directory, and for the command line, which asks for a
restore at the next start. Nothing is ever deleted or written over, and no step can be cut in two:

    1  a checked copy of the backup comes under the name ``history.db.restore``
    2  what is there is moved aside, its write-ahead log first, under a name with the time
    3  the copy takes its name

A start that finds ``history.db.restore`` goes on with step 2, whoever had begun. Only what SQLite says of
the file's own content counts as damage: a volume that is full, read-only or away, and a file that is
locked, are errors that pass, and nothing is touched.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from querytask import errors
from querytask.adapters.store import backup, backups, failures, filesystem, migrate, sqlite, witness
from querytask.adapters.store.backups import BUSY_SECONDS, Backup
from querytask.adapters.store.records import Moment
from querytask.adapters.store.unused import MOVING, PATIENCE, Patience, unused

STAGED = f"{sqlite.FILE_NAME}.restore"
DAMAGED = f"{sqlite.FILE_NAME}.damaged-"
REPLACED = f"{sqlite.FILE_NAME}.replaced-"
LOGS = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was found, and done."""

    seconds: float
    """How long looking at the file took."""
    bytes: int
    """Its size."""
    damage: str = ""
    """What was wrong with it; empty when nothing was."""
    aside: Path | None = None
    """Where it was moved to."""
    restored: Backup | None = None
    """The backup that took its place; ``None`` when there was none that could be used."""
    asked: bool = False
    """Somebody had asked for a restore."""
    missing: int = 0
    """How many of its newest steps are not there any more, though nothing else is wrong."""


async def prepare_history(
    directory: Path,
    now: Callable[[], Moment],
    *,
    busy_seconds: float = BUSY_SECONDS,
    patience: Patience = PATIENCE,
) -> Prepared:
    """Look at the history in ``directory``, and restore it where it is damaged, lost, or asked to be.

    Raises ``StoreRefused`` for a network file system, ``StoreUnavailable`` when the file or the directory
    cannot be read and written now: then nothing was changed, or what was begun is gone on with at the next
    call.
    """
    return await asyncio.to_thread(prepare, directory, now, busy_seconds, patience)


def prepare(
    directory: Path,
    now: Callable[[], Moment],
    busy_seconds: float = BUSY_SECONDS,
    patience: Patience = PATIENCE,
) -> Prepared:
    """``prepare_history``, on this thread."""
    filesystem.check_local(directory)
    path, started = directory / sqlite.FILE_NAME, time.monotonic()
    try:
        (directory / MOVING).unlink(missing_ok=True)
        if (directory / STAGED).exists():
            return _asked(directory, now(), patience)
        damage = _damage(directory, busy_seconds)
        seconds = time.monotonic() - started
        size = path.stat().st_size if path.exists() else 0
        missing = 0 if damage else _missing(directory, busy_seconds)
        if missing and _has_more(directory, busy_seconds):
            damage = f"{missing} of its newest steps are missing, and a backup has more of them"
        if not damage:
            return Prepared(seconds, size, missing=missing)
        restored = _stage_newest(directory, busy_seconds)
        aside = _swap(directory, DAMAGED, now(), patience)
    except OSError as error:
        raise errors.StoreUnavailable(
            f"the history in {directory} cannot be restored: {error.strerror}"
        ) from error
    return Prepared(seconds, size, damage, aside=aside, restored=restored)


def stage(directory: Path, source: Path, busy_seconds: float = BUSY_SECONDS) -> None:
    """Let the next start restore the history from ``source``.

    Raises ``StoreCorrupt`` when it is damaged, ``StoreSchemaTooNew`` when a newer release has written it,
    ``StoreError`` when it is no history at all, ``StoreUnavailable`` when there is no room for a copy.
    """
    _check_usable(source, busy_seconds)
    if (free := backups.free_bytes(directory)) < (wanted := backups.needed(source)):
        raise errors.StoreUnavailable(
            f"a copy of {source} needs {wanted} bytes free on the volume of {directory}, which has {free}",
            "Full",
        )
    target = directory / STAGED
    unfinished = target.with_name(target.name + ".partial")
    try:
        shutil.copyfile(source, unfinished)
        unfinished.chmod(0o660)
        backup.check_file(unfinished, busy_seconds)
        backup.flush(unfinished)
        os.replace(unfinished, target)
        backup.flush(directory)
    except OSError as error:
        raise errors.StoreUnavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def damaged_files(directory: Path) -> list[Path]:
    """The databases that were moved aside as damaged, without their logs."""
    found = directory.glob(f"{DAMAGED}*")
    return sorted(path for path in found if not path.name.endswith(LOGS))


def _asked(directory: Path, now: Moment, patience: Patience) -> Prepared:
    staged = directory / STAGED
    taken = Backup(staged, now, staged.stat().st_size)
    return Prepared(
        0.0, taken.bytes, aside=_swap(directory, REPLACED, now, patience), restored=taken, asked=True
    )


def _damage(directory: Path, busy_seconds: float) -> str:
    """What is wrong with the file's content; empty when nothing is, or when there never was a history."""
    path = directory / sqlite.FILE_NAME
    if not path.exists() or path.stat().st_size == 0:
        log = directory / f"{sqlite.FILE_NAME}-wal"
        kept = bool(backups.listed(directory)) or (log.exists() and log.stat().st_size > 0)
        return f"{path} is {'empty' if path.exists() else 'gone'}, though there was a history" if kept else ""
    engine = sqlite.writing(path, busy_seconds)
    try:
        with failures.translated(path), engine.connect() as connection:
            backup.check(connection, path, quick=True)
    except errors.StoreCorrupt as error:
        return str(error)
    finally:
        engine.dispose()
    return ""


def _missing(directory: Path, busy_seconds: float) -> int:
    """How many steps were seen that the database does not have: its write-ahead log was lost, or somebody has
    put an older copy in its place."""
    path, seen = directory / sqlite.FILE_NAME, witness.read(directory)
    if not seen or not path.exists():
        return 0
    return max(0, seen - _steps(path, busy_seconds))


def _has_more(directory: Path, busy_seconds: float) -> bool:
    """Whether the newest backup has steps that the database has not."""
    newest = next(iter(backups.listed(directory)), None)
    if newest is None:
        return False
    try:
        _check_usable(newest.path, busy_seconds)
    except errors.StoreError:
        return False
    return _steps(newest.path, busy_seconds) > _steps(directory / sqlite.FILE_NAME, busy_seconds)


def _steps(path: Path, busy_seconds: float) -> int:
    engine = sqlite.reading(path, busy_seconds, 1)
    try:
        with failures.translated(path), engine.connect() as connection:
            return witness.steps(connection)
    finally:
        engine.dispose()


def _stage_newest(directory: Path, busy_seconds: float) -> Backup | None:
    """Stage the newest backup that can be used; ``None`` when there is none. Raises ``StoreSchemaTooNew``
    where only a newer release can use one."""
    newer: errors.StoreSchemaTooNew | None = None
    for item in backups.listed(directory):
        try:
            stage(directory, item.path, busy_seconds)
        except errors.StoreUnavailable:
            raise
        except errors.StoreError as error:
            newer = error if isinstance(error, errors.StoreSchemaTooNew) else newer
            continue
        return item
    if newer is not None:
        raise newer
    return None


def _check_usable(source: Path, busy_seconds: float) -> None:
    if not source.is_file():
        raise errors.StoreError(f"{source} must be a file; there is none")
    engine = sqlite.reading(source, busy_seconds, 1)
    try:
        with failures.translated(source), engine.connect() as connection:
            backup.check(connection, source)
            if not migrate.known(connection):
                raise errors.StoreError(f"{source} must be a backup of a history; it is another database")
    finally:
        engine.dispose()


def _swap(directory: Path, prefix: str, now: Moment, patience: Patience) -> Path | None:
    """Move what is there aside and let the staged copy, if there is one, take its name; where the old file
    lies then."""
    path, staged = directory / sqlite.FILE_NAME, directory / STAGED
    aside = _free_name(directory, f"{prefix}{backups.stamp(now)}")
    with unused(path, patience):
        witness.forget(directory)
        # The log first: beside another database it would be taken for that one's.
        for suffix in (*LOGS, ""):
            there = path.with_name(path.name + suffix)
            if there.exists():
                os.rename(there, aside.with_name(aside.name + suffix))
        backup.flush(directory)
        if staged.exists():
            os.rename(staged, path)
            backup.flush(directory)
    return aside if aside.exists() else None


def _free_name(directory: Path, name: str) -> Path:
    """``name``, or with a number where that is taken: nothing is written over."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    taken = {path.name for path in directory.glob(f"{name}*")}
    return directory / next(free for free in names if not any(found.startswith(free) for found in taken))
