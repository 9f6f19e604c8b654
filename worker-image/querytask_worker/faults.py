"""Why a task does not succeed: one exception that carries its class, and the one that says "we were asked to
stop".

    Exception
    ├── Fault      the task ends with an exit code of its own (``contract.ExitCode``)
    └── Stopped    a stop was asked for; no fault, and nothing to classify

The supervisor and every module of the engine know these two; what DuckDB raises becomes a ``Fault`` in
``classify``.
"""

from __future__ import annotations

from .contract import Error, ExitCode

MESSAGE_BYTES = 4096

_CATEGORIES = {
    ExitCode.SQL_ERROR: "User",
    ExitCode.SQL_NOT_ALLOWED: "User",
    ExitCode.PARAMETER_ERROR: "User",
    ExitCode.TIMEOUT: "User",
    ExitCode.OUT_OF_MEMORY: "Resource",
    ExitCode.SPILL_FULL: "Resource",
    ExitCode.EXPORT_VOLUME_FULL: "Resource",
    ExitCode.SOURCE_UNREACHABLE: "External",
}


class Stopped(Exception):
    """Work was given up because a stop had been asked for."""


class Fault(Exception):
    """An end that is no success.

    ``position`` is ``line:column`` in the user's text; ``traceback`` is kept for internal errors only.
    """

    def __init__(
        self, code: ExitCode, message: str, *, position: str | None = None, traceback: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = cut(message, MESSAGE_BYTES)
        self.position = position
        self.traceback = traceback

    def error(self) -> Error:
        """The same as the contract tells it."""
        return Error(
            code=self.code.reason,
            message=self.message,
            category=_CATEGORIES.get(self.code, "Internal"),
            position=self.position,
            traceback=self.traceback,
        )


def cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes of UTF-8, ending in ``…`` where something was cut off."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"
