"""How an attempt ended, concluded from what the supervisor saw. Pure: no files, no clock, no signals.

The order of the answers is their rank. A published result is a success whatever came after it; a fault that
the engine had told before it heard of the stop stands; then the stop; then the engine's own death, which is
told as what it was.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace

from .contract import Error, ExitCode, Outcome, Statistics, Stop
from .faults import Fault


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Why and when the supervisor began to stop the engine."""

    deadline: bool
    """Its own deadline; else a signal."""
    requested_at: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What the supervisor saw until the engine process was gone."""

    attempt: int
    started_at: str
    finished_at: str
    timeout_seconds: float
    published: bool = False
    """The task has a result, of this attempt or of another."""
    fault: Fault | None = None
    """What the engine told."""
    stop: StopRequest | None = None
    killed: bool = False
    """The supervisor had to kill the engine process."""
    status: int = 0
    """Of the engine process, as ``wait`` gives it."""
    oom_kills: int = 0
    """Processes that the kernel killed for memory in this container meanwhile."""
    output: bytes = b""
    """The end of what the engine process wrote."""
    statistics: Statistics = field(default_factory=Statistics)


def conclude(seen: Observed) -> Outcome:
    """The outcome, whole but for the limits of its size."""
    stop = _stop(seen)
    if seen.published:
        return _outcome(seen, ExitCode.COMPLETED, None, None)
    if seen.fault is not None:
        return _outcome(seen, seen.fault.code, seen.fault.error(), None)
    if seen.stop is not None:
        error = _stop_fault(seen)
        return _outcome(seen, error.code, error.error(), stop)
    death = _death(seen)
    return _outcome(seen, death.code, death.error(), None)


def shortened(outcome: Outcome, message_characters: int) -> Outcome:
    """The same outcome where there is little room: no traceback, a message of at most so many characters."""
    if outcome.error is None:
        return outcome
    error = replace(outcome.error, traceback=None, message=outcome.error.message[:message_characters])
    return replace(outcome, error=error)


def _outcome(seen: Observed, code: ExitCode, error: Error | None, stop: Stop | None) -> Outcome:
    return Outcome(
        attempt=seen.attempt,
        exit_code=int(code),
        reason=code.reason,
        started_at=seen.started_at,
        finished_at=seen.finished_at,
        error=error,
        stop=stop,
        statistics=seen.statistics,
    )


def _stop(seen: Observed) -> Stop | None:
    if seen.stop is None:
        return None
    step = "Killed" if seen.killed else "Interrupted"
    return Stop(step=step, requested_at=seen.stop.requested_at, finished_at=seen.finished_at)


def _stop_fault(seen: Observed) -> Fault:
    if seen.stop is not None and seen.stop.deadline:
        return Fault(
            ExitCode.TIMEOUT,
            f"the query must end within its timeout of {seen.timeout_seconds:g} s, and did not",
        )
    return Fault(ExitCode.STOPPED, "the worker was asked to stop")


def _death(seen: Observed) -> Fault:
    if os.WIFSIGNALED(seen.status):
        number = os.WTERMSIG(seen.status)
        if number == signal.SIGKILL and seen.oom_kills:
            return Fault(
                ExitCode.OUT_OF_MEMORY,
                "the kernel killed the engine process: the container's memory was used up",
            )
        if b"bad_alloc" in seen.output:
            return Fault(
                ExitCode.OUT_OF_MEMORY,
                "the engine process could not get the memory that it needed, and aborted",
            )
        return _internal(seen, f"the engine process was killed by {signal.Signals(number).name}")
    if b"MemoryError" in seen.output or b"bad_alloc" in seen.output:
        return Fault(ExitCode.OUT_OF_MEMORY, "the engine process could not get the memory that it needed")
    return _internal(
        seen,
        f"the engine process ended without a result, with exit code {os.waitstatus_to_exitcode(seen.status)}",
    )


def _internal(seen: Observed, message: str) -> Fault:
    return Fault(
        ExitCode.INTERNAL_ERROR, message, traceback=seen.output[-4000:].decode("utf-8", "replace") or None
    )
