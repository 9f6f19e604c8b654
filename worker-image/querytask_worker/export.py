"""Writes a query's result into one file: what to ask of DuckDB, and making durable and hashing what it wrote.

The statement that runs the query writes the file, so that a query runs once and its rows never pass through
Python.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable

from .contract import Export, File
from .mailbox import sync_directory
from .text import quote_name

PARTIAL_NAME = "export.partial"
"""The file while it is written.

Not the user's name: DuckDB would read ``[1].csv`` as a pattern when the preview is read back.
"""
CHUNK_BYTES = 1024 * 1024

_OPTIONS = {
    "Parquet": "FORMAT parquet",
    "CSV": "FORMAT csv, HEADER true",
    "JSON": "FORMAT json",
}
_CHANGED_BY_PARQUET = re.compile(r"\b(?:U?HUGEINT|INTERVAL|TIME WITH TIME ZONE|UNION)\b")


def copy_options(export: Export) -> str:
    """The options of the COPY statement.

    ``USE_TMP_FILE false``: a killed COPY must not leave a second temporary file.
    """
    return f"({_OPTIONS[export.format]}, COMPRESSION {export.compression.lower()}, USE_TMP_FILE false)"


def check_name(name: str) -> None:
    """Raises ``ValueError`` unless a file of that name lies in the attempt's directory and is none of the
    mailbox.
    """
    if not name or "/" in name or "\0" in name or name[0] in "._" or name == PARTIAL_NAME:
        raise ValueError(
            f"Assignment.export.fileName must be a plain file name of no file of ours, not {name!r}"
        )


def keeps_values(export: Export, types: Iterable[str]) -> bool:
    """Whether the file holds these types' values exactly: Parquet makes doubles of 128-bit integers, and cuts
    intervals.
    """
    return export.format != "Parquet" or not any(_CHANGED_BY_PARQUET.search(kind) for kind in types)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names that a file gives its columns: one that was there before, in whatever case, gets a number."""
    seen: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 0
        while candidate.lower() in seen:
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate.lower())
        unique.append(candidate)
    return unique


def select_list(names: Iterable[str], columns: Iterable[str]) -> str:
    """``columns`` under the given names, as the list of a SELECT."""
    return ", ".join(f"{column} AS {quote_name(name)}" for column, name in zip(columns, names, strict=True))


class Sealing(threading.Thread):
    """Makes a written file durable and hashes it, in a thread of its own: meanwhile its head is read back.

    ``check`` may raise between two chunks; what it raises, and ``OSError``, come out of ``finish``.
    """

    def __init__(self, partial: str, check: Callable[[], None]) -> None:
        super().__init__(name="sealing", daemon=True)
        self._partial = partial
        self._check = check
        self._digest = hashlib.sha256()
        self._size = 0
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with open(self._partial, "rb", buffering=0) as file:
                os.fsync(file.fileno())
                self._size = os.fstat(file.fileno()).st_size
                while chunk := file.read(CHUNK_BYTES):
                    self._check()
                    self._digest.update(chunk)
        except BaseException as error:
            self._error = error

    def finish(self, final: str, rows: int) -> File:
        """Wait for it, then give the file its final name."""
        self.join()
        if self._error is not None:
            raise self._error
        os.rename(self._partial, final)
        sync_directory(os.path.dirname(final))
        name = os.path.basename(final)
        return File(name=name, bytes=self._size, rows=rows, sha256=self._digest.hexdigest())
