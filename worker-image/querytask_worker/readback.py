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

MAX_OBJECT_BYTES = 1024**3
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
    try:
        cells = _READERS[export.format](execution, task_id, path, export, columns, limit)
        return preview.build(cells, more=rows > limit)
    except (duckdb.Error, MemoryError, ValueError, RecursionError) as error:
        execution.log.warning("no preview: the head of the file could not be read back", error=str(error))
        return Preview((), True)


def _parquet(
    execution: Execution, task_id: str, path: str, export: Export, columns: Sequence[Column], limit: int
) -> Iterable[Sequence[str | None]]:
    cells = preview.row_expression([column.type for column in columns])
    names = preview.alias_list(preview.names_of(len(columns)))
    rows = execution.run(
        task_id, f"SELECT {cells} FROM read_parquet({quote_text(path)}) AS r({names}) LIMIT {limit}"
    )
    return [row[0] for row in rows]


def _csv(
    execution: Execution, task_id: str, path: str, export: Export, columns: Sequence[Column], limit: int
) -> Iterable[Sequence[str | None]]:
    names = preview.names_of(len(columns))
    cells = ", ".join(_csv_cell(name, column.type) for name, column in zip(names, columns, strict=True))
    declared = ", ".join(f"{name}: 'VARCHAR'" for name in names)
    options = (
        "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', "
        f"allow_quoted_nulls = false, compression = {quote_text(_spelled(export))}, "
        f"columns = {{{declared}}}, max_line_size = {_line_bytes(path)}"
    )
    rows = execution.run(
        task_id, f"SELECT [{cells}] FROM read_csv({quote_text(path)}, {options}) LIMIT {limit}"
    )
    return [row[0] for row in rows]


def _csv_cell(name: str, type_name: str) -> str:
    text = preview.cell_expression(name, "VARCHAR")
    if _PLAIN.fullmatch(type_name):
        if type_name.startswith("TIMESTAMP"):
            return preview.cell_expression(name, type_name)
        return text
    return f"coalesce({preview.cell_expression(f'TRY_CAST({name} AS {type_name})', type_name)}, {text})"


def _json(
    execution: Execution, task_id: str, path: str, export: Export, columns: Sequence[Column], limit: int
) -> Iterable[Sequence[str | None]]:
    options = (
        f"format = 'newline_delimited', compression = {quote_text(_spelled(export))}, "
        f"maximum_object_size = {_line_bytes(path)}"
    )
    rows = execution.run(
        task_id, f"SELECT json FROM read_json_objects({quote_text(path)}, {options}) LIMIT {limit}"
    )
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


def _spelled(export: Export) -> str:
    return export.compression.lower()


def _line_bytes(path: str) -> int:
    """What a reader must be ready for: a compressed file may hold lines far longer than itself."""
    size = os.stat(path).st_size
    return min(max(16 * 1024 * 1024, size), MAX_OBJECT_BYTES)


_READERS = {"Parquet": _parquet, "CSV": _csv, "JSON": _json}
