"""The pipe from the engine process to its supervisor: one JSON object a line, each a fragment of the outcome.

In the other direction a single byte is enough (``STOP``), and the end of the pipe says that the other process
is gone.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

STOP = b"s"


class Sender:
    """The engine's end; may be used by several threads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()

    def __call__(self, **fragment: Any) -> None:
        """Tell the supervisor; returns when the pipe has taken it all.

        A supervisor that is gone is not told.
        """
        data = json.dumps(fragment).encode() + b"\n"
        with self._lock:
            try:
                while data:
                    data = data[os.write(self.descriptor, data) :]
            except BrokenPipeError:
                pass


class Receiver:
    """The supervisor's end: bytes in, whole fragments out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The fragments that ``data`` completes; a line torn by the engine's death stays behind."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]
