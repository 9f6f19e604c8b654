"""Starting and ending processes that outlive the command that started them.

A process is known by its id *and* the moment of its start within this boot, so that an id which the kernel
has given to somebody else meanwhile is never signalled. Each part leads a process group of its own, which
ends as a whole.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
POLL_SECONDS = 0.02


class Stat(NamedTuple):
    """The few fields of /proc/PID/stat that are used here. `started` is in clock ticks since the boot."""

    state: str
    parent: int
    group: int
    started: int


@dataclass(frozen=True)
class ProcessRef:
    """One process, never another one with the same id. It leads the process group of the same number."""

    pid: int
    started: int
    boot: str

    def alive(self) -> bool:
        """Whether the process itself still runs. One that has ended but was not collected yet does not."""
        now = read_stat(self.pid)
        return now is not None and now.started == self.started and now.state != "Z" and self.boot == boot_id()

    def group_alive(self) -> bool:
        """Whether anything of its group still runs. The kernel reuses no number that a group still bears."""
        if self.boot != boot_id():
            return False
        return any(
            s.group == self.pid and s.started >= self.started and s.state != "Z" for _, s in all_stats()
        )


def boot_id() -> str:
    """Names this boot: starts are counted from it."""
    return BOOT_ID.read_text().strip()


def parse_stat(text: str) -> Stat:
    """Reads one line of /proc/PID/stat; the command's name in it may hold blanks and brackets."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(state=fields[0], parent=int(fields[1]), group=int(fields[2]), started=int(fields[19]))


def read_stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def all_stats() -> Iterator[tuple[int, Stat]]:
    """Every process that this one can see."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := read_stat(int(name))) is not None:
            yield int(name), stat


def children(pid: int) -> list[int]:
    """The ids of a process's children that still run."""
    return [child for child, stat in all_stats() if stat.parent == pid and stat.state != "Z"]


def reference(pid: int) -> ProcessRef:
    """A reference to a process that runs now.

    Raises:
        ProcessLookupError: there is none.
    """
    stat = read_stat(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return ProcessRef(pid, stat.started, boot_id())


def spawn(
    argv: Sequence[str],
    log: Path,
    *,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a child as the leader of its own session; what it prints is appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            env={**os.environ, **(environment or {})},
            cwd=cwd,
        )


def daemon(argv: Sequence[str], log: Path) -> ProcessRef:
    """Starts a program that outlives this process; otherwise like `spawn`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out, open(os.devnull, "rb") as nothing:
        actions = [
            (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
            (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, out.fileno(), 2),
        ]
        pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=actions, setsid=True)
    return reference(pid)


def collect(ref: ProcessRef) -> None:
    """Lets the kernel forget an ended process that this one had started."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(ref.pid, os.WNOHANG)


def send(ref: ProcessRef, number: signal.Signals) -> None:
    """Signals the group, if it is still the one that was meant."""
    if ref.group_alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(ref.pid, number)


def end(ref: ProcessRef, grace: float) -> None:
    """Asks the group to end, and after `grace` seconds makes it. Does nothing when it has ended already."""
    if grace > 0:
        send(ref, signal.SIGTERM)
        wait_until(lambda: not ref.group_alive(), grace)
    send(ref, signal.SIGKILL)
    wait_until(lambda: not ref.group_alive(), 10)
    collect(ref)


def wait_until(condition: Callable[[], bool], seconds: float, poll: float = POLL_SECONDS) -> bool:
    """Waits for a condition. False when it did not come within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll)
    return True
