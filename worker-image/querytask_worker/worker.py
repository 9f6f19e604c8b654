"""One attempt from the supervisor's first line to its exit code: read, run, conclude, clean up, tell.

Whatever goes wrong here still ends in an outcome: in the mailbox where that can be written, in the
termination message always.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import traceback
from collections.abc import Callable

from . import contract
from .child import Body
from .conclusion import Observed, conclude, shortened
from .contract import Assignment, ExitCode, Outcome, Statistics, timestamp
from .faults import Fault
from .job import Job
from .limits import OomCounter, limits
from .log import Log
from .mailbox import Mailbox, remove_tree
from .output import Output
from .places import Places
from .signals import Signals
from .supervisor import Supervisor


class Worker:
    """One attempt. ``run`` returns the exit code of the process."""

    def __init__(self, places: Places, attempt: int, signals: Signals, body: Body | None = None) -> None:
        self._places = places
        self._mailbox = Mailbox(places.task_dir, attempt)
        self._signals = signals
        self._body = body
        self._output = Output(2)
        self._log = Log(self._output.write, {"attempt": attempt})
        age = _process_age()
        self._started_monotonic = time.monotonic() - age
        self._started_at = timestamp(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age))

    def run(self) -> int:
        """Never raises: what nobody expected is an internal error."""
        try:
            seen = self._attempt()
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            seen = self._observed(
                fault=Fault(
                    ExitCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}", traceback=text[-8000:]
                )
            )
        outcome = conclude(seen)
        self._log.info("ended", reason=outcome.reason, error=outcome.error.message if outcome.error else None)
        self._try(self._clean, seen.published)
        self._try(self._write_outcome, outcome)
        self._try(self._mailbox.write_log, self._output.tail())
        self._try(self._write_termination, outcome)
        return outcome.exit_code

    def _attempt(self) -> Observed:
        if self._mailbox.published() is not None:
            self._log.info("the task has its result already")
            return self._observed(published=True)
        try:
            assignment = self._mailbox.assignment()
            job = Job(
                assignment,
                self._places,
                self._mailbox,
                limits(assignment, os.environ),
                self._started_at,
                self._started_monotonic,
            )
        except (OSError, ValueError) as error:
            return self._observed(
                fault=Fault(ExitCode.INTERNAL_ERROR, f"the assignment could not be read: {error}")
            )
        self._log = self._log.bind(task=assignment.name, namespace=assignment.namespace)
        self._try(self._mailbox.remove_result_files)
        self._try(self._mailbox.reserve_outcome)
        return self._supervise(job, assignment)

    def _supervise(self, job: Job, assignment: Assignment) -> Observed:
        counter = OomCounter()
        kills = counter.read()
        supervisor = Supervisor(job, self._signals, self._output, self._log, self._body)
        supervisor.run()
        return self._observed(
            timeout_seconds=assignment.timeout_seconds,
            published=self._mailbox.published() is not None,
            fault=supervisor.fault,
            stop=supervisor.stop,
            killed=supervisor.killed,
            status=supervisor.status or 0,
            oom_kills=counter.read() - kills,
            output=supervisor.last_words(),
            statistics=Statistics(**supervisor.statistics),
        )

    def _observed(self, **seen: object) -> Observed:
        arguments: dict[str, object] = {"timeout_seconds": 0.0, **seen}
        return Observed(
            attempt=self._mailbox.attempt,
            started_at=self._started_at,
            finished_at=timestamp(dt.datetime.now(dt.UTC)),
            **arguments,  # type: ignore[arg-type]
        )

    def _clean(self, published: bool) -> None:
        """Leave nothing behind: no spill, and no file of an attempt that has not published."""
        remove_tree(self._places.engine_spill)
        winner = self._mailbox.published() if published else None
        if winner is None or winner.attempt != self._mailbox.attempt:
            self._mailbox.remove_result_files()

    def _write_outcome(self, outcome: Outcome) -> None:
        try:
            self._mailbox.write_outcome(outcome)
        except OSError:
            self._mailbox.make_room()
            self._mailbox.write_outcome(shortened(outcome, 200))

    def _write_termination(self, outcome: Outcome) -> None:
        """What the kubelet keeps of this container; without the key it would take it as a log."""
        text = contract.dump(outcome)
        room = contract.TERMINATION_BYTES
        while len(text) > contract.TERMINATION_BYTES:
            room //= 2
            text = contract.dump(shortened(outcome, room))
        with open(self._places.termination_log, "wb") as file:
            file.write(text)

    def _try(self, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except (OSError, ValueError) as error:
            self._log.error("could not do all that an end needs", action=action.__name__, error=str(error))


def _process_age() -> float:
    """Seconds since the kernel started this process, which as pid 1 is the start of the container."""
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
