"""One JSON object a line: what supervisor and engine write to the container's log.

Home-made because the worker's start is measured: ``logging`` costs more to import than all that is needed of
it here. A line says which task and attempt it belongs to. Query texts appear as a short preview, values of
parameters never.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

LINE_BYTES = 8192
"""The most that one line takes; a longer message is cut."""


class Log:
    """Hands whole lines to ``write``.

    Losing a line is no reason to lose a query: its ``OSError`` is dropped.
    """

    def __init__(self, write: Callable[[bytes], object], fields: Mapping[str, object] | None = None) -> None:
        self._write_line = write
        self.fields = dict(fields or {})

    def bind(self, **fields: object) -> Log:
        """The same log with more fields in every line."""
        return Log(self._write_line, {**self.fields, **fields})

    def info(self, message: str, **fields: object) -> None:
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: object) -> None:
        self._write("ERROR", message, fields)

    def _write(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        line = {
            "time": _now(),
            "level": level,
            "message": message[: LINE_BYTES // 2],
            **self.fields,
            **fields,
        }
        try:
            self._write_line(
                json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
            )
        except OSError:
            pass


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
