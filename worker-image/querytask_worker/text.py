"""The user's SQL as text: tokens, the pieces between semicolons, and positions as people count them.

DuckDB tells the place of an error as an offset into the text that it was given: in characters when it could
not parse, in bytes of UTF-8 when it could not bind or run. Here both become ``line:column`` in what the user
wrote.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement's text, and where it begins in the whole: in characters."""

    text: str
    start: int


def tokens(sql: str) -> list[tuple[int, duckdb.token_type]]:
    """Where its tokens begin, in bytes, and of which kind they are; comments are none.

    Since 2.0 DuckDB tells of comments, too; without them a text has the same tokens for every release.
    """
    return [(offset, kind) for offset, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]


def words(sql: str) -> list[str]:
    """Its tokens in upper case: names without their quotes, a single quote for each string, other tokens by
    their first characters.

    Enough to tell which statement this is and what it calls; comments are no tokens.
    """
    data = sql.encode()
    found = []
    for offset, kind in tokens(sql):
        rest = data[offset : offset + 256].decode("utf-8", "ignore")
        found.append("'" if kind == duckdb.token_type.string_const else _word(rest))
    return found


def pieces(sql: str) -> list[Piece]:
    """The statements of a script: what lies between its semicolons; pieces without a token are left out."""
    data = sql.encode()
    cuts = [offset for offset, _ in tokens(sql) if data[offset : offset + 1] == b";"]
    found = []
    for start, end in itertools.pairwise([-1, *cuts, len(data)]):
        text = data[start + 1 : end].decode()
        if tokens(text):
            found.append(Piece(text, len(data[: start + 1].decode())))
    return found


@dataclass(frozen=True, slots=True)
class Edit:
    """A place where a text was replaced: offset and length in the old one, length in the new; in bytes."""

    offset: int
    old_bytes: int
    new_bytes: int


def with_types(sql: str, types: Mapping[str, str]) -> tuple[str, tuple[Edit, ...]]:
    """``sql`` with ``CAST($name AS type)`` for ``$name`` where ``types`` has it, and what was edited."""
    data = sql.encode()
    offsets = [offset for offset, _ in tokens(sql)] if types else []
    result, edits, done = bytearray(), [], 0
    for offset, following in itertools.pairwise(offsets):
        match = _NAME.match(data, following)
        name = match.group().decode() if match else ""
        if data[offset:following] != b"$" or name.lower() not in types:
            continue
        replacement = f"CAST(${name} AS {types[name.lower()]})".encode()
        edits.append(Edit(offset, 1 + len(name), len(replacement)))
        result += data[done:offset] + replacement
        done = following + len(name)
    return (bytes(result) + data[done:]).decode(), tuple(edits)


def before_edits(offset: int, edits: Iterable[Edit]) -> int:
    """The offset in the old text of an offset in the new; the start of an edit for what lies within it."""
    shift = 0
    for edit in edits:
        if offset < edit.offset + shift:
            break
        if offset < edit.offset + shift + edit.new_bytes:
            return edit.offset
        shift += edit.new_bytes - edit.old_bytes
    return offset - shift


def position(sql: str, offset: int) -> str:
    """``line:column``, both from 1, of a character's offset."""
    before = sql[: max(0, min(offset, len(sql)))]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def first_word(text: str) -> int:
    """Where a text's first token begins, in characters."""
    return characters(text, next((offset for offset, _ in tokens(text)), 0))


def characters(text: str, byte_offset: int) -> int:
    """The offset in characters of an offset in bytes of UTF-8."""
    return len(text.encode()[:byte_offset].decode("utf-8", "ignore"))


def quote_name(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(value: str) -> str:
    """A text as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r'"((?:[^"]|"")*)"|(\w[\w$]*)|.', re.DOTALL)


def _word(rest: str) -> str:
    match = _WORD.match(rest)
    if match is None:
        return ""
    quoted, plain = match.groups()
    return (quoted.replace('""', '"') if quoted is not None else plain or match.group()).upper()
