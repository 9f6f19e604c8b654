"""Reads what a worker has written, and believes only what a worker of that task can have meant.

For the mailbox and the collector. Nothing here blocks, whatever lies under the name (a pipe would, if it
were opened as a file is), takes more memory than the bound of its kind, or raises for what the file holds:
that answer is ``Damaged``. A message that passes can go into the status, the history and the metrics as it
is: its numbers are finite, not negative and fit into 64 bits, its times are times.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from querytask.adapters.exports import paths
from querytask.adapters.exports.mailbox import Damaged, Mailbox
from querytask.api.task_spec import Compression, Format
from querytask.core import clock
from querytask_worker import contract
from querytask_worker.contract import Manifest, Outcome, Progress

MANIFEST_BYTES = 1024 * 1024
OUTCOME_BYTES = 256 * 1024
PROGRESS_BYTES = 16 * 1024
LOG_BYTES = 128 * 1024
"""Of a log that is longer, the end is read."""

_BROKEN = frozenset({errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE})
"""The volume or this process is at fault, not the file."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POSITION = re.compile(r"[0-9]+:[0-9]+")
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY

M = TypeVar("M", Manifest, Outcome, Progress)


def mailbox(task: int, attempt: int | None, namespace: str, uid: str) -> Mailbox:
    """The messages in the directory ``task`` of one attempt, or the manifest alone."""
    found = manifest(task, namespace, uid)
    if attempt is None:
        return Mailbox(found)
    try:
        folder = paths.folder(task, paths.attempt_name(attempt))
    except (FileNotFoundError, NotADirectoryError):
        return Mailbox(found)
    except PermissionError as error:
        return Mailbox(found, shut(error), shut(error))
    try:
        return Mailbox(found, outcome(folder, attempt), progress(folder, attempt))
    finally:
        os.close(folder)


def manifest(task: int, namespace: str, uid: str) -> Manifest | Damaged | None:
    """The published result of that task."""

    def faults(found: Manifest) -> Iterator[str]:
        if (found.namespace, found.uid) != (namespace, uid):
            yield "is another task's"
        if not 1 <= found.attempt <= 9999:
            yield "has no attempt's number"
        yield from _bad_times(found.started_at, found.published_at, found.expires_at)
        if not all(_plain(file.name) and _SHA256.fullmatch(file.sha256) for file in found.files):
            yield "lists a file that cannot be one of its attempt's"
        if sum(file.bytes for file in found.files) >= 2**63:
            yield "lists more bytes than there are"
        if found.format not in {None, *Format} or found.compression not in {None, *Compression}:
            yield "names a format that there is not"

    return _message(Manifest, task, contract.MANIFEST_FILE, MANIFEST_BYTES, faults)


def outcome(folder: int, attempt: int) -> Outcome | Damaged | None:
    """How the attempt whose folder this is ended."""

    def faults(found: Outcome) -> Iterator[str]:
        if found.attempt != attempt:
            yield "is another attempt's"
        yield from _bad_times(found.started_at, found.finished_at)
        if found.stop is not None:
            yield from _bad_times(found.stop.requested_at, found.stop.finished_at)
        if found.error is not None and not _POSITION.fullmatch(found.error.position or "0:0"):
            yield "names a position that is none"

    return _message(Outcome, folder, contract.OUTCOME_FILE, OUTCOME_BYTES, faults)


def progress(folder: int, attempt: int) -> Progress | Damaged | None:
    """How far the attempt whose folder this is has come."""

    def faults(found: Progress) -> Iterator[str]:
        if found.attempt != attempt:
            yield "is another attempt's"
        yield from _bad_times(found.updated_at)
        if found.percent is not None and found.percent > 100:
            yield "tells more than 100 percent"

    return _message(Progress, folder, contract.PROGRESS_FILE, PROGRESS_BYTES, faults)


def shut(error: PermissionError) -> Damaged:
    """For messages in a folder that its writer does not let us into."""
    return Damaged(f"the folder {error.filename} must be one that can be read: {error.strerror}")


def content(folder: int, name: str, most: int, *, tail: bool = False) -> bytes | Damaged | None:
    """What the file ``name`` holds, ``None`` when it is not there; of a longer file than ``most`` the
    ``tail``, or ``Damaged``."""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _BROKEN:
            raise
        return Damaged(f"{name} must be a file that can be read: {error.strerror}")
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return Damaged(f"{name} must be a file, and nothing else")
        if found.st_size > most and not tail:
            return Damaged(f"{name} must hold at most {most} bytes, not {found.st_size}")
        return _read(descriptor, max(0, found.st_size - most), most)
    finally:
        os.close(descriptor)


def _read(descriptor: int, start: int, most: int) -> bytes:
    parts, position = [], start
    while position < start + most and (part := os.pread(descriptor, start + most - position, position)):
        parts.append(part)
        position += len(part)
    return b"".join(parts)


def _message(
    kind: type[M], folder: int, name: str, most: int, faults: Callable[[M], Iterator[str]]
) -> M | Damaged | None:
    text = content(folder, name, most)
    if text is None or isinstance(text, Damaged):
        return text
    try:
        found = contract.load(kind, text)
    except (ValueError, RecursionError) as error:
        return Damaged(f"{name} must be a {kind.__name__}: {_without_content(error)}")
    if not _sound(found):
        return Damaged(f"{name} holds a number that is negative, not finite or over 64 bits")
    why = next(faults(found), None)
    return found if why is None else Damaged(f"{name} cannot be believed: it {why}")


def _without_content(error: Exception) -> str:
    """The first words of the error, up to where it would show what the file holds."""
    return str(error).partition(", not ")[0][:200]


def _sound(value: Any) -> bool:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return True
    if isinstance(value, (int, float)):
        return math.isfinite(value) and 0 <= value < 2**63
    if isinstance(value, tuple):
        return all(_sound(item) for item in value)
    return all(_sound(getattr(value, item.name)) for item in dataclasses.fields(value))


def _bad_times(*times: str) -> Iterator[str]:
    for text in times:
        try:
            clock.parse(text)
        except (ValueError, OverflowError):
            yield "names a time that is none"


def _plain(name: str) -> bool:
    short = len(name.encode("utf-8", "replace")) <= 255
    return short and name not in ("", ".", "..") and "/" not in name and "\0" not in name
