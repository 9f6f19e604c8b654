"""Cuts what is written into a status to the sizes of the schema, so that no write is ever refused for its
size.

Everything is measured in bytes of UTF-8: the schema counts characters, which are never more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from querytask.api.task_status import COLUMNS, PREVIEW_BYTES, STATUS_BYTES, Column, Result, TaskStatus

MESSAGE, CONDITION_MESSAGE, ERROR_MESSAGE, CANCEL_REASON = 1_024, 512, 1_024, 256
"""The most that these fields take, in bytes."""
_COLUMNS_BYTES = 2_048
_SHORTEST_CELL = 16
_MARK = "…"
_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if chr(code) not in "\t\n\r"}
"""Control characters: six bytes each in JSON, and who knows what in the terminal that shows them."""


def text(value: str, most: int) -> str:
    """``value`` in at most ``most`` bytes, with ``…`` at its end where it was cut; control characters and
    characters that JSON cannot carry are replaced."""
    encoded = value.translate(_CONTROLS).encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode()
    return encoded[: most - len(_MARK.encode())].decode("utf-8", "ignore") + _MARK


def result(rows: int, columns: Iterable[tuple[str, str]], preview: Iterable[str], truncated: bool) -> Result:
    """The summary of a result of ``rows`` rows, from its columns (name and type) and the JSON texts of its
    first rows.

    Columns and rows are left out from the first that does not fit; of a first row that does not fit, the long
    texts are cut. Then, or with ``truncated``, the result says so.
    """
    wanted = [Column(name=text(name, 128), type=text(kind, 128)) for name, kind in columns]
    lines = [line.encode("utf-8", "replace").decode() for line in preview]
    kept, shown = _columns(wanted), _rows(lines)
    cut = bool(lines) and not shown
    if cut:
        shown = _first(lines[0])
    short = truncated or cut or len(kept) < len(wanted) or len(shown) < len(lines) or rows > len(shown)
    return Result(rows=rows, columns=kept, preview=shown, truncated=short)


def fit(status: TaskStatus) -> TaskStatus:
    """``status`` in at most ``STATUS_BYTES`` of JSON: the preview goes first, then the columns, last the
    messages of the conditions."""
    for step in (_without_preview, _without_columns, _without_messages):
        if size(status) <= STATUS_BYTES:
            break
        status = step(status)
    return status


def size(status: TaskStatus) -> int:
    """Bytes of ``status`` as JSON."""
    return len(json.dumps(status.document(), ensure_ascii=False, separators=(",", ":")).encode())


def _columns(wanted: list[Column]) -> tuple[Column, ...]:
    kept, left = [], _COLUMNS_BYTES
    for column in wanted[:COLUMNS]:
        left -= len(json.dumps(column.document(), ensure_ascii=False).encode())
        if left < 0:
            break
        kept.append(column)
    return tuple(kept)


def _rows(lines: list[str]) -> tuple[str, ...]:
    kept, left = [], PREVIEW_BYTES
    for line in lines:
        left -= len(line.encode("utf-8", "replace"))
        if left < 0:
            break
        kept.append(line)
    return tuple(kept)


def _first(line: str) -> tuple[str, ...]:
    """A row that is too long by itself, such as a query's plan, with its texts cut; none where that does not
    make it fit."""
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    most = PREVIEW_BYTES // 2
    while isinstance(cells, list) and most >= _SHORTEST_CELL:
        cut = [text(cell, most) if isinstance(cell, str) else cell for cell in cells]
        row = json.dumps(cut, ensure_ascii=False)
        if len(row.encode("utf-8", "replace")) <= PREVIEW_BYTES:
            return (row.encode("utf-8", "replace").decode(),)
        most //= 2
    return ()


def _without_preview(status: TaskStatus) -> TaskStatus:
    if status.result is None:
        return status
    return status.model_copy(
        update={"result": status.result.model_copy(update={"preview": (), "truncated": True})}
    )


def _without_columns(status: TaskStatus) -> TaskStatus:
    if status.result is None:
        return status
    return status.model_copy(
        update={"result": status.result.model_copy(update={"columns": (), "truncated": True})}
    )


def _without_messages(status: TaskStatus) -> TaskStatus:
    conditions = tuple(
        item.model_copy(update={"message": text(item.message, 64)}) for item in status.conditions
    )
    return status.model_copy(update={"conditions": conditions})
