"""The preview of an export, from the head of the file that was just written: the query does not run a second
time.

Parquet keeps the types. CSV holds every value as the text that a cast gives, so a cast back tells numbers
from words. JSON lines are JSON already. Whatever goes wrong here costs the preview and never the result.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb

from . import preview
from .contract import Column, Export, Preview
from .execution import Execution
from .text import quote_text

LINE_BYTES = 1024**2
"""What a line of text is expected to fit into: a reader takes twice as much memory."""
MOST_LINE_BYTES = 1024**3
"""A single line of text beyond this is not read back."""

_PLAIN = re.compile(
    r"(?:VARCHAR|BLOB|DATE|TIME.*|INTERVAL|UUID|BIT|ENUM.*|GEOMETRY.*|VARIANT|UNION.*)", re.DOTALL
)


def read(
    execution: Execution,
    task_id: str,
    path: str,
    export: Export,
    columns: Sequence[Column],
    rows: int,
    limit: int,
) -> Preview:
    """The first ``limit`` of the file's ``rows``.

    Raises ``Stopped``, and nothing else: an unreadable head is an empty preview.
    """
    if not rows or not limit:
        return Preview((), rows > 0)
    failure: Exception | None = None
    for line_bytes in _bounds(path, export):
        try:
            cells = _READERS[export.format](execution, task_id, path, export, columns, limit, line_bytes)
            return preview.build(cells, more=rows > limit)
        except (duckdb.Error, MemoryError, ValueError, RecursionError) as error:
            failure = error
    execution.log.warning("no preview: the head of the file could not be read back", error=str(failure))
    return Preview((), True)


def _bounds(path: str, export: Export) -> Sequence[int]:
    """How long a line may be: as is usual, and then as long as it can be in a file of this size."""
    if export.format == "Parquet":
        return (0,)
    # a compressed file may hold lines far longer than itself
    longest = max(16 * LINE_BYTES, os.stat(path).st_size + 1)
    return (LINE_BYTES, min(longest, MOST_LINE_BYTES))


def _parquet(
    execution: Execution,
    task_id: str,
    path: str,
    export: Export,
    columns: Sequence[Column],
    limit: int,
    _: int,
) -> Iterable[Sequence[str | None]]:
    cells = preview.row_expression([column.type for column in columns])
    names = preview.alias_list(preview.names_of(len(columns)))
    rows = execution.run(
        task_id, f"SELECT {cells} FROM read_parquet({quote_text(path)}) AS r({names}) LIMIT {limit}"
    )
    return [row[0] for row in rows]


def _csv(
    execution: Execution,
    task_id: str,
    path: str,
    export: Export,
    columns: Sequence[Column],
    limit: int,
    line_bytes: int,
) -> Iterable[Sequence[str | None]]:
    names = preview.names_of(len(columns))
    cells = ", ".join(_csv_cell(name, column.type) for name, column in zip(names, columns, strict=True))
    options = "header = true, delim = ',', quote = '\"', escape = '\"', allow_quoted_nulls = false"
    source = _lines(path, export, names, options, line_bytes)
    rows = execution.run(task_id, f"SELECT [{cells}] FROM {source} LIMIT {limit}")
    return [row[0] for row in rows]


def _lines(path: str, export: Export, names: Sequence[str], options: str, line_bytes: int) -> str:
    """The file as a table of texts.

    The buffer is named, for the reader's own is sixteen lines long. Not `parallel`, for that reader leaves
    out, without a word, a line that is longer than two buffers.
    """
    declared = ", ".join(f"{name}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({quote_text(path)}, auto_detect = false, parallel = false, {options}, "
        f"columns = {{{declared}}}, compression = {quote_text(export.compression.lower())}, "
        f"max_line_size = {line_bytes}, buffer_size = {2 * line_bytes})"
    )


def _csv_cell(name: str, type_name: str) -> str:
    text = preview.cell_expression(name, "VARCHAR")
    if _PLAIN.fullmatch(type_name):
        if type_name.startswith("TIMESTAMP"):
            return preview.cell_expression(name, type_name)
        return text
    return f"coalesce({preview.cell_expression(f'TRY_CAST({name} AS {type_name})', type_name)}, {text})"


def _json(
    execution: Execution,
    task_id: str,
    path: str,
    export: Export,
    columns: Sequence[Column],
    limit: int,
    line_bytes: int,
) -> Iterable[Sequence[str | None]]:
    # not by the JSON reader, which takes 32 MiB at least; a line of JSON holds no control character
    options = "header = false, delim = '\x01', quote = '', escape = '', new_line = '\\n'"
    source = _lines(path, export, ["line"], options, line_bytes)
    rows = execution.run(task_id, f"SELECT line FROM {source} LIMIT {limit}")
    return [_json_cells(row[0], columns) for row in rows]


class _Number(str):
    """A number as it was written, so that no digit is lost."""

    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    """An object's members in their order."""


def _json_cells(line: str, columns: Sequence[Column]) -> list[str | None]:
    members = json.loads(
        line, object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number, parse_constant=_Number
    )
    return [_json_text(value, column.type) for (_, value), column in zip(members, columns, strict=True)]


def _json_text(value: Any, type_name: str = "") -> str | None:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Object):
        return (
            "{"
            + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{_json_text(item)}" for key, item in value)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(str(_json_text(item)) for item in value) + "]"
    if isinstance(value, str) and type_name.startswith("TIMESTAMP"):
        value = preview.iso_time(value)
    return json.dumps(value, ensure_ascii=False)


_READERS = {"Parquet": _parquet, "CSV": _csv, "JSON": _json}
