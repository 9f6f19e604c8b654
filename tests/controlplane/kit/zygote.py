"""A process that has imported the operator and forks one whenever a test asks for it.

Importing takes three quarters of an operator's start, and these tests start hundreds of them. What is forked
is the operator all the same: its own process with its own environment, log and signals, which runs
``querytask.__main__.main`` and nothing of the tests.

    python -m tests.controlplane.kit.zygote SOCKET
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.controlplane.kit.waiting import until

DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""The beginning of a command that is to end with the thread that starts it, however that ends."""
START_SECONDS = 60.0
_PDEATHSIG = 1


class Zygote:
    """Starts the process that forks; ``socket`` is where it listens."""

    def __init__(self, path: Path, environment: Mapping[str, str], folder: Path) -> None:
        self.path = path
        command = [*DIE_WITH_US, sys.executable, "-m", __name__, str(path)]
        self._process = subprocess.Popen(command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        try:
            until(self._listens, START_SECONDS, what="the zygote listens")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the zygote has ended"
        return self.path.exists()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)


class Forked:
    """An operator that was forked; to be used like ``subprocess.Popen``."""

    def __init__(self, path: Path, environment: Mapping[str, str], log: Path) -> None:
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(path))
        self._file = self._connection.makefile("rwb")
        self._file.write(json.dumps({"environment": dict(environment), "log": str(log)}).encode() + b"\n")
        self._file.flush()
        self.pid = int(self._file.readline())

    def poll(self) -> int | None:
        """The exit code, if it has ended; minus the number of the signal that ended it."""
        with contextlib.suppress(TimeoutError):
            return self._read(0.0005)
        return None

    def wait(self, timeout: float) -> int:
        """The exit code, when it has ended; raises ``TimeoutError``."""
        return self._read(timeout)

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout: float) -> int:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            told = self._connection.recv(64)
            self.returncode = int(told) if told else -int(signal.SIGKILL)
            self._file.close()
            self._connection.close()
        return self.returncode


def serve(path: str) -> None:
    """Fork for every connection, for ever."""
    import querytask.__main__  # noqa: F401 - this is what takes the time

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the monitors
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(64)
    os.rename(path + ".new", path)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _monitor(connection)
        connection.close()


def _monitor(connection: socket.socket) -> None:
    """Stand between the zygote and one operator, to wait for it and tell how it ended."""
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order = json.loads(connection.makefile("rb").readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        _operate(order)
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _operate(order: dict[str, Any]) -> None:
    _die_with_parent()
    from querytask.__main__ import main

    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(order["environment"])
    code = 1
    try:
        code = main(os.environ)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1])
