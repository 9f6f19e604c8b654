"""JSON lines on standard error, one an event, each with the task, its namespace and its attempt where there
is one. For the operator and the API alike, and therefore a leaf.

What a line is about is bound once, where the work begins (``bound``), and travels with the asyncio task, so
that no call has to repeat it and no line can miss it.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

_context: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "querytask_log_context", default=None
)


@contextlib.contextmanager
def bound(**values: Any) -> Iterator[None]:
    """Add ``values`` to every line that is logged inside."""
    token = _context.set({**(_context.get() or {}), **values})
    try:
        yield
    finally:
        _context.reset(token)


class JsonFormatter(logging.Formatter):
    """One line of JSON for a record: time, level, logger, message, what is bound, and the traceback of an
    exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(_context.get() or {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _is_news(record: logging.LogRecord) -> bool:
    """That kopf leaves the signals alone is what we want of it, and no warning."""
    return "OS signals are ignored" not in str(record.msg)


def configure(level: str) -> None:
    """Send everything to standard error as JSON; the libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kopf._core.reactor.running").addFilter(_is_news)
    for library in ("kopf", "aiohttp", "asyncio", "alembic", "sqlalchemy", "kubernetes", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
