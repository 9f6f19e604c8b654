"""A real PostgreSQL for tests: Debian's programs, a data directory of its own, one port of the loopback
interface.

The server refuses to run as root, so root runs it as ``postgres``. It goes with the process that started it,
however that one ends. Nothing is flushed to the disk unless that is asked for: what a test kills is a
process, and a process that dies takes nothing from the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
from psycopg import sql

PROGRAMS = Path("/usr/lib/postgresql")
UNPRIVILEGED = "postgres"
USER, PASSWORD = "querytask", "pass/word+1"
DATABASE = "postgres"
START_SECONDS = 60
_PR_SET_PDEATHSIG = 1
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=on", "-c", "full_page_writes=off")
_QUIET = ("-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c", "autovacuum=off")


def programs() -> Path:
    """The folder of the newest PostgreSQL's programs."""
    found = sorted(PROGRAMS.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    assert found, "Debian's package postgresql must be installed; `make setup` does it"
    return found[-1].parent


class Server:
    """One PostgreSQL server, which asks for passwords. ``USER`` owns the databases and is no superuser;
    ``administrator`` reaches it as one."""

    def __init__(self, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="querytask-postgres-"))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.data = self._folder / "data"
        self.port = _free_port()

    def __enter__(self) -> Self:
        try:
            give_away(self._folder)
            self._initialise()
            self.start()
            with self.administrator() as connection:
                owner, password = sql.Identifier(USER), sql.Literal(PASSWORD)
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(owner, password)
                )
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def url(self, database: str = DATABASE, user: str = USER, password: str = PASSWORD) -> str:
        """The URL of a database, as an operator is given it."""
        quoted = password.replace("/", "%2F").replace("+", "%2B")
        return f"postgresql://{user}:{quoted}@127.0.0.1:{self.port}/{database}"

    def administrator(self, database: str = DATABASE) -> psycopg.Connection[Any]:
        """A session of the superuser, outside of any transaction."""
        return psycopg.connect(
            host=str(self._folder), port=self.port, user=UNPRIVILEGED, dbname=database, autocommit=True
        )

    def create(self, template: str | None = None, options: str = "") -> str:
        """A new database of ``USER``'s, like ``template`` where one is named; its name."""
        name = f"test_{next(self._numbers)}"
        like = f" TEMPLATE {template}" if template else ""
        with self.administrator() as connection:
            connection.execute(f'CREATE DATABASE "{name}" OWNER {USER}{like} {options}'.encode())
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is in it."""
        with self.administrator() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def end_sessions(self, database: str) -> int:
        """End every session of a database but one's own; how many there were."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with self.administrator() as connection:
            return len(connection.execute(ended, (database,)).fetchall())

    def start(self) -> None:
        """Start it, and come back when it lets somebody in. It ends with the thread that calls this."""
        listen = ("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}")
        arguments = ["-D", str(self.data), "-p", str(self.port), *listen, *_QUIET, *_FAST, *self._options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(programs() / "postgres"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 -- it asks the kernel for a signal
                cwd=self._folder,
                **_as_whom(),
            )
        self._await_start(time.monotonic() + START_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks off what is under way in good order, SIGQUIT in none; safe to repeat."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(START_SECONDS)

    def processes(self) -> list[int]:
        """All processes of it that run now."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        return [server.pid, *(child.pid for child in server.children(recursive=True))]

    def log(self) -> str:
        """What the server has said."""
        return (self._folder / "log").read_text(errors="replace")

    def _initialise(self) -> None:
        # On this machine the superuser needs no password; everybody else does, and over TCP he does, too.
        command = [str(programs() / "initdb"), "-D", str(self.data), "-U", UNPRIVILEGED, "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        subprocess.run([*command, "--data-checksums"], check=True, capture_output=True, **_as_whom())

    def _await_start(self, until: float) -> None:
        while True:
            try:
                self.administrator().close()
                return
            except psycopg.OperationalError:
                ended = self._process is None or self._process.poll() is not None
                assert not ended, f"the server has ended: {self.log()[-2000:]}"
                assert time.monotonic() < until, f"the server has not started: {self.log()[-2000:]}"
            time.sleep(0.02)

    def _remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def database(server: Server, template: str | None = None) -> Iterator[str]:
    """A database that is there for a while; its name."""
    name = server.create(template)
    try:
        yield name
    finally:
        server.drop(name)


@contextlib.contextmanager
def suspended(pids: Sequence[int]) -> Iterator[None]:
    """These processes of a server do nothing for a while, as on a machine that hangs: what is connected stays
    so, and gets no answer."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _free_port() -> int:
    """Below those that the kernel gives to whoever connects: it must be free again after a stop."""
    while True:
        number = random.randrange(15_000, 30_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", number))
            return number


def _as_whom() -> dict[str, Any]:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    found = pwd.getpwnam(UNPRIVILEGED)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def give_away(folder: Path) -> None:
    """Let the server have a folder."""
    if os.geteuid() == 0:
        shutil.chown(folder, UNPRIVILEGED, UNPRIVILEGED)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
