"""What DuckDB raises, translated once into the worker's own faults: the class of the end, DuckDB's message,
and the place in the user's text.

DuckDB is asked for errors as JSON (``errors_as_json``), which carry the offset of their place; where a
message is plain text all the same it is taken as it stands.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

import duckdb

from .contract import ExitCode
from .faults import Fault
from .text import Edit, Piece, before_edits, characters, position

EXCERPT_CHARACTERS = 80
"""How much of a line is shown with an error."""

_WANTED = {
    ExitCode.OUT_OF_MEMORY: "the query needs more memory than spec.resources.memory allows: ",
    ExitCode.SPILL_FULL: "the query needs more disk than spec.resources.spill allows: ",
    ExitCode.EXPORT_VOLUME_FULL: "the exports volume is full: ",
}
"""What stands before DuckDB's own words where a user can do something about it, or their administrator."""
_ADVICE = re.compile(r"(?:\n\nPossible solutions:|\nThis limit was set by the).*", re.DOTALL)
"""What DuckDB says to change: settings that no query may change."""
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded|file too large", re.IGNORECASE)
_MEMORY = re.compile(r"bad allocation|bad_alloc|compressed page size out of range", re.IGNORECASE)
"""The last is what DuckDB's Parquet writer makes of a compressor that gets no memory."""
_SPILL = re.compile(r"failed to offload|max_temp_directory_size", re.IGNORECASE)
_MISSING = re.compile(r"no files found that match|no such file or directory|is a directory", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"input/output error|remote i/o error|stale file handle|transport endpoint|permission denied"
    r"|no such device|host is down"
    r"|connection timed out|connection refused|network is unreachable|could not connect",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a statement that failed came from: the user's whole text, its piece of it, and how many bytes of
    our own stood before it.
    """

    sql: str
    piece: Piece
    prefix_bytes: int = 0
    spill_dir: str = "\0"
    task_dir: str = "\0"
    edits: tuple[Edit, ...] = ()
    """What was replaced in the piece before it was run."""


def syntax_fault(error: duckdb.Error, piece: Piece, sql: str) -> Fault:
    """The fault of a text that the parser refuses. Its offsets count characters."""
    message, offset = _message(error)
    where = None if offset is None else position(sql, piece.start + offset)
    return Fault(_code(error, message, None), message + _excerpt(sql, where), position=where)


def fault(error: BaseException, context: Context) -> Fault:
    """The fault of a statement that failed while it was bound, planned or run.

    Its offsets count bytes of what was run.
    """
    if isinstance(error, Fault):
        return error
    if isinstance(error, MemoryError):
        return Fault(ExitCode.OUT_OF_MEMORY, _WANTED[ExitCode.OUT_OF_MEMORY] + "no more was to be had")
    if isinstance(error, OSError):
        return os_fault(error)
    message, offset = _message(error)
    code = _code(error, message, context)
    where = _position(offset, context) if code == ExitCode.SQL_ERROR else None
    return Fault(code, _WANTED.get(code, "") + message + _excerpt(context.sql, where), position=where)


def os_fault(error: OSError) -> Fault:
    """The fault of a file operation of the worker itself, below the mailbox."""
    if _NO_SPACE.search(str(error)):
        return Fault(ExitCode.EXPORT_VOLUME_FULL, f"{_WANTED[ExitCode.EXPORT_VOLUME_FULL]}{error}")
    return Fault(ExitCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}")


def _message(error: BaseException) -> tuple[str, int | None]:
    text = str(error)
    head, brace, rest = text.partition("{")
    try:
        details = json.loads(brace + rest)
        message, kind = details["exception_message"], details["exception_type"]
    except (ValueError, KeyError, TypeError):
        return text, None
    offset = details.get("position", "")
    message = _ADVICE.sub("", message)
    return f"{head.rstrip(': ') or kind + ' Error'}: {message}", int(offset) if str(
        offset
    ).isdecimal() else None


def _excerpt(sql: str, where: str | None) -> str:
    """The line of an error and a mark under its place, as DuckDB itself shows them."""
    if where is None:
        return ""
    line, column = map(int, where.split(":"))
    text = sql.split("\n")[line - 1]
    start = max(0, column - EXCERPT_CHARACTERS // 2)
    shown = "".join(character if character.isprintable() else " " for character in text[start:])
    head = f"LINE {line}: " + ("..." if start else "")
    return f"\n\n{head}{shown[:EXCERPT_CHARACTERS].rstrip()}\n{' ' * (len(head) + column - 1 - start)}^"


def _position(offset: int | None, context: Context) -> str | None:
    if offset is None:
        return None
    inner = before_edits(offset - context.prefix_bytes, context.edits)
    if not 0 <= inner <= len(context.piece.text.encode()):
        return None
    return position(context.sql, context.piece.start + characters(context.piece.text, inner))


def _code(error: BaseException, message: str, context: Context | None) -> ExitCode:
    """The first rule that knows the error decides."""
    for rule in _RULES:
        code = rule(error, message, context)
        if code is not None:
            return code
    return ExitCode.SQL_ERROR if isinstance(error, duckdb.Error) else ExitCode.INTERNAL_ERROR


def _memory(error: BaseException, message: str, context: Context | None) -> ExitCode | None:
    if isinstance(error, duckdb.OutOfMemoryException):
        return ExitCode.SPILL_FULL if _SPILL.search(message) else ExitCode.OUT_OF_MEMORY
    if isinstance(error, duckdb.InternalException) and _MEMORY.search(message):
        return ExitCode.OUT_OF_MEMORY
    return None


def _lock_down(error: BaseException, message: str, context: Context | None) -> ExitCode | None:
    return ExitCode.SQL_NOT_ALLOWED if isinstance(error, duckdb.PermissionException) else None


def _engine(error: BaseException, message: str, context: Context | None) -> ExitCode | None:
    broken = isinstance(error, (duckdb.InternalException, duckdb.FatalException))
    return ExitCode.INTERNAL_ERROR if broken else None


def _own_files(error: BaseException, message: str, context: Context | None) -> ExitCode | None:
    """Files that the worker writes: a full volume has a reason of its own, anything else is no fault of the
    query.
    """
    if context is None or not isinstance(error, duckdb.IOException):
        return None
    spills = os.path.normpath(context.spill_dir) in message
    if _NO_SPACE.search(message):
        return ExitCode.SPILL_FULL if spills else ExitCode.EXPORT_VOLUME_FULL
    return ExitCode.INTERNAL_ERROR if spills or os.path.normpath(context.task_dir) in message else None


def _sources(error: BaseException, message: str, context: Context | None) -> ExitCode | None:
    """What cannot be read, other than what is not there, is the source's fault."""
    unread = isinstance(error, duckdb.IOException) and _UNREACHABLE.search(message)
    if isinstance(error, duckdb.HTTPException) or (unread and not _MISSING.search(message)):
        return ExitCode.SOURCE_UNREACHABLE
    return None


_RULES = (_memory, _lock_down, _engine, _own_files, _sources)
