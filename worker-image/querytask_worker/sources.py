"""The named inputs of a task: directories below the engine's working directory, mounted read-only.

A source that is not there, or whose directory cannot be listed, is told before the user's SQL runs: DuckDB
would only say that no files match.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from .contract import ExitCode
from .faults import Fault
from .places import Places

FEW_ENTRIES = 64
"""Up to here the engine keeps the metadata of Parquet files between binding a query and running it."""


def check(sources: Iterable[str], places: Places) -> None:
    """Raises ``Fault`` (``SourceUnreachable``) for the first source whose directory cannot be read."""
    for name in sources:
        path = os.path.join(places.data_dir, name)
        try:
            with os.scandir(path) as entries:
                next(entries, None)
        except OSError as error:
            raise Fault(
                ExitCode.SOURCE_UNREACHABLE, f"source {name!r} must be readable at {path}: {error.strerror}"
            ) from error


def are_few(places: Places, entries: int = FEW_ENTRIES) -> bool:
    """Whether the sources hold at most so many files and folders; looks at no more than that many."""
    folders = [places.data_dir]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                for entry in found:
                    entries -= 1
                    if entries < 0:
                        return False
                    if entry.is_dir():
                        folders.append(entry.path)
        except OSError:
            return False
    return True


def enter(places: Places) -> None:
    """Make the sources' parent the working directory, so that files are read as ``'flights/…'``; without one
    there is nothing to read.
    """
    try:
        os.chdir(places.data_dir)
    except OSError:
        os.chdir("/")
