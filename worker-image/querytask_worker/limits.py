"""What the engine may take, from what its container got: memory, threads, and whether the kernel killed for
memory.

DuckDB's ``memory_limit`` binds only what its buffer manager knows of. So the engine process also gets a bound
on its data segment, below the container's limit: an allocation beyond it fails inside DuckDB, which reports
it, instead of ending in a kill that nobody can explain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from .contract import CPU_ENV, MEMORY_ENV, Assignment

MIB = 1024 * 1024
RESERVED_BYTES = 48 * MIB
"""For the supervisor and for what the engine process takes that is no data: code, stacks of the kernel, page
tables.
"""
ENGINE_SHARE = 0.57
"""Of the container's memory, for DuckDB's buffer manager; the rest is for what it does not count."""
UNCOUNTED_BYTES = 60 * MIB
"""What the engine process takes at least beside DuckDB's buffers; it decides in small containers, which would
fail to allocate before DuckDB began to spill."""
ENGINE_MINIMUM_BYTES = 16 * MIB
THREAD_BYTES = 128 * MIB
"""What a thread of DuckDB needs to be of use: a small container gets fewer than it has cores."""
STACK_BYTES = 7 * MIB
"""Of the address space that a thread's stack reserves, what it never touches. The bound counts it as data."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes."""

    memory_bytes: int
    threads: int
    spill_bytes: int

    @property
    def engine_bytes(self) -> int:
        """DuckDB's own ``memory_limit``."""
        room = self.memory_bytes - RESERVED_BYTES - UNCOUNTED_BYTES
        return max(ENGINE_MINIMUM_BYTES, min(int(self.memory_bytes * ENGINE_SHARE), room))

    @property
    def data_bytes(self) -> int:
        """The bound on the engine process's data segment."""
        bound = max(self.memory_bytes - RESERVED_BYTES, self.memory_bytes // 2)
        return bound + (self.threads - 1) * STACK_BYTES


def limits(assignment: Assignment, environ: Mapping[str, str]) -> Limits:
    """The limits of this container; where the environment tells none, those that were asked for.

    Raises ``ValueError`` when the environment holds something else than whole numbers.
    """
    millis = _number(environ, CPU_ENV) or assignment.cpu_millis
    memory = _number(environ, MEMORY_ENV) or assignment.memory_bytes
    return Limits(
        memory_bytes=memory,
        threads=max(1, min(-(-millis // 1000), memory // THREAD_BYTES)),
        spill_bytes=assignment.spill_bytes,
    )


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if text and not text.isdecimal():
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text or 0)


class OomCounter:
    """Counts the processes that the kernel has killed for memory in this process's cgroup; 0 for ever where
    it does not tell.
    """

    def __init__(self, root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> None:
        self._files = [path for path in _candidates(root, membership) if os.path.exists(path)][:1]

    def read(self) -> int:
        """The number so far."""
        for path in self._files:
            try:
                with open(path, encoding="ascii") as file:
                    return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
            except (OSError, ValueError, IndexError):
                return 0
        return 0


def _candidates(root: str, membership: str) -> list[str]:
    """Version 2 and version 1; below the process's own path where the host's tree is seen, else at the
    container's root.
    """
    paths = {"": "/", "memory": "/"}
    try:
        with open(membership, encoding="utf-8") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                paths.update(dict.fromkeys(controllers.split(","), path))
    except (OSError, ValueError):
        pass
    first = [f"{root}/memory{inner.rstrip('/')}/memory.oom_control" for inner in (paths["memory"], "/")]
    second = [f"{root}{inner.rstrip('/')}/memory.events" for inner in (paths[""], "/")]
    return first + second


def bound_data(size: int) -> None:
    """Bound this process's data segment; a hard limit that is lower already stays."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def prefer_for_oom_kill() -> None:
    """Have the kernel kill this process before its parent where memory runs out all the same; best effort."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass
