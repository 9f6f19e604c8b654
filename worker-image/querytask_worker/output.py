"""The worker's log on its way out: to the container's standard error, and its tail into the mailbox.

The engine process writes into a pipe of the supervisor, so that its last words (an abort of the C++ runtime,
a fault handler's trace) are kept even when it dies. Lines that are no JSON become JSON here.
"""

from __future__ import annotations

import os

from .log import Log

TAIL_BYTES = 64 * 1024
LAST_WORDS_BYTES = 16 * 1024


class Output:
    """Writes lines to ``descriptor`` and keeps the last ``TAIL_BYTES`` of them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._tail = bytearray()
        self.written = 0
        """Bytes so far, to see whether there is anything new."""

    def write(self, line: bytes) -> None:
        """Write a whole line; what the descriptor refuses is in the tail all the same."""
        self._tail += line
        self.written += len(line)
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        try:
            os.write(self._descriptor, line)
        except OSError:
            pass

    def tail(self) -> bytes:
        """The last whole lines."""
        tail = bytes(self._tail[-TAIL_BYTES:])
        return tail if len(self._tail) <= TAIL_BYTES else tail[tail.find(b"\n") + 1 :]


class Relay:
    """Passes the engine's output on, line by line; keeps the end of what was no log line."""

    def __init__(self, output: Output, log: Log) -> None:
        self._output = output
        self._log = log
        self._rest = b""
        self._words = bytearray()

    def feed(self, data: bytes) -> None:
        """Pass the lines on that ``data`` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._pass(line)

    def last_words(self) -> bytes:
        """What the engine process wrote beside its log, its end; call it when nothing more comes."""
        if self._rest:
            self._pass(self._rest)
            self._rest = b""
        return bytes(self._words[-LAST_WORDS_BYTES:])

    def _pass(self, line: bytes) -> None:
        if line.startswith(b'{"time":'):
            self._output.write(line + b"\n")
        elif line.strip():
            self._words += line + b"\n"
            del self._words[: -2 * LAST_WORDS_BYTES]
            self._log.warning(line.decode("utf-8", "replace"))
