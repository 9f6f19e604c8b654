"""The first rows of a result as JSON text, whatever their types.

DuckDB makes the JSON itself, so no value passes through a Python type that could not hold it: integers and
decimals keep every digit, dates beyond the year 9999 stay dates. One row is the text of one JSON array, in
which

* integers, decimals and finite floats are numbers, with all their digits; ``NaN`` and the infinities are
  strings;
* times are strings in ISO 8601 (``2026-11-22T10:00:00Z`` where they have a zone, which is UTC), and
  ``infinity`` or years BC as DuckDB writes them;
* blobs are strings as DuckDB writes them (``\\x00``), and so is every other type that JSON has no form for;
* lists, structs, maps and unions are JSON of the same kinds, in which times are written as DuckDB writes
  them;
* a cell longer than ``CELL_BYTES`` is a string with the beginning of its text that ends in ``…``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from .contract import CELL_BYTES, PREVIEW_BYTES, Preview
from .text import quote_name

NUMBERS = re.compile(r"U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BIGNUM|DECIMAL\(.*\)")
_FLOATS = ("FLOAT", "DOUBLE")
_NESTED = re.compile(r"(?:STRUCT|MAP|UNION)\(.*|.*\]", re.DOTALL)
_TIMES = re.compile(r"TIMESTAMP(?:_S|_MS|_NS)?|TIMESTAMP WITH TIME ZONE")

_SPACED_TIME = "^([0-9]+-[0-9]{2}-[0-9]{2}) ([0-9:.Z]+)$"

_CUT = CELL_BYTES + 1
"""Characters that leave DuckDB for one cell at most: enough to see that it is too long."""


def cell_expression(column: str, type_name: str) -> str:
    """SQL for one cell as JSON text; ``column`` is an SQL expression of the type ``type_name``, spelled as
    DuckDB describes it.
    """
    text = f"CAST({column} AS VARCHAR)"
    if NUMBERS.fullmatch(type_name):
        return text
    if type_name in _FLOATS:
        return f"CASE WHEN isfinite({column}) THEN {text} ELSE CAST(to_json({column}) AS VARCHAR) END"
    if _NESTED.fullmatch(type_name) or type_name in ("BOOLEAN", "JSON"):
        return f"left(CAST(to_json({column}) AS VARCHAR), {_CUT})"
    if _TIMES.fullmatch(type_name):
        zoned = f"regexp_replace({text}, '[+]00$', 'Z')" if type_name.endswith("ZONE") else text
        return f"CAST(to_json(regexp_replace({zoned}, '{_SPACED_TIME}', '\\1T\\2')) AS VARCHAR)"
    return f"CAST(to_json(left({text}, {_CUT})) AS VARCHAR)"


def row_expression(types: Sequence[str], *, columns: Iterable[str] | None = None) -> str:
    """SQL for the list of a row's cells; the columns are called ``c0``, ``c1``, … unless ``columns`` gives
    expressions.
    """
    names = columns if columns is not None else names_of(len(types))
    return "[" + ", ".join(cell_expression(name, kind) for name, kind in zip(names, types, strict=True)) + "]"


def names_of(count: int) -> list[str]:
    """Names of our own for ``count`` columns: the user's may be empty or there twice."""
    return [f"c{index}" for index in range(count)]


def alias_list(names: Iterable[str]) -> str:
    """``names`` as the column list of a table's alias."""
    return ", ".join(quote_name(name) for name in names)


def build(rows: Iterable[Sequence[str | None]], *, more: bool) -> Preview:
    """The preview of rows of cells; ``more`` says that the result has more rows.

    Stops where ``PREVIEW_BYTES`` are full.
    """
    texts: list[str] = []
    truncated, size = more, 0
    for row in rows:
        cells = [_cell(cell) for cell in row]
        text = "[" + ",".join(cell for cell, _ in cells) + "]"
        size += len(text.encode())
        if size > PREVIEW_BYTES:
            return Preview(tuple(texts), True)
        truncated = truncated or any(cut for _, cut in cells)
        texts.append(text)
    return Preview(tuple(texts), truncated)


def iso_time(text: str) -> str:
    """DuckDB's text of a time stamp in ISO 8601; infinities and years BC stay as they are."""
    zoned = text[:-3] + "Z" if text.endswith("+00") else text
    return re.sub(_SPACED_TIME, r"\1T\2", zoned)


_SPECIAL = re.compile(r'("(?:[^"\\]|\\.)*")|(-?(?:Infinity|NaN))|((?<![0-9])[.])', re.DOTALL)


def _cell(text: str | None) -> tuple[str, bool]:
    """A cell's JSON, and whether it was cut.

    DuckDB writes what JSON has not: bare words for NaN and infinities, decimals that begin with the point.
    """
    if text is None:
        return "null", False
    if len(text.encode("utf-8", "replace")) > CELL_BYTES:
        return _shortened(text), True
    return _SPECIAL.sub(_mended, text), False


def _mended(match: re.Match[str]) -> str:
    text, word, _ = match.groups()
    if text is not None:
        return str(text)
    return "0." if word is None else f'"{word}"'


def _shortened(text: str) -> str:
    if text.startswith('"'):
        try:
            text = str(json.loads(text))
        except ValueError:  # an array or object would not begin like this
            pass
    limit = CELL_BYTES
    while (
        len(shown := json.dumps(text[:limit] + "…", ensure_ascii=False).encode("utf-8", "replace"))
        > CELL_BYTES
    ):
        limit -= max(1, (len(shown) - CELL_BYTES) // 6)
    return shown.decode()
