"""Pid 1 of the worker: starts the engine process, watches the clock and the signals, and sees how it ends.

It never imports DuckDB and runs no query, so nothing that a query does can keep it from answering a stop. One
loop waits for everything: signals, the engine's fragments, its output, its end, and the moments at which
something is due: the deadline, the end of the grace that an interrupted statement gets, the next progress
file.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
import signal
import time
from typing import Any

from . import child
from .channel import STOP, Receiver
from .conclusion import StopRequest
from .contract import ExitCode, Progress, timestamp
from .faults import Fault
from .job import Job
from .log import Log
from .output import Output, Relay
from .signals import STOP_SIGNALS, Signals

PROGRESS_SECONDS = 1.0
ABANDON_SECONDS = 2.0
"""How long a killed engine is waited for: a process that hangs in the kernel, on a volume that is away, does
not die."""


class Supervisor:
    """Runs one job in an engine process; afterwards its attributes tell what was seen."""

    def __init__(
        self, job: Job, signals: Signals, output: Output, log: Log, body: child.Body | None = None
    ) -> None:
        self._job = job
        self._body = body
        self._signals = signals
        self._output = output
        self._log = log
        self._receiver = Receiver()
        self._relay = Relay(output, log)
        self._deadline = job.started_monotonic + job.assignment.timeout_seconds
        self._kill_at = self._abandon_at = float("inf")
        self._progress: tuple[str, int | None] = ("Starting", None)
        self._told: tuple[object, ...] = ()
        self._tell_at = job.started_monotonic + PROGRESS_SECONDS
        self.stop: StopRequest | None = None
        self.killed = False
        self.fault: Fault | None = None
        self.status: int | None = None
        self.statistics: dict[str, Any] = {}

    def run(self) -> None:
        """Returns when the engine process is gone. Raises ``OSError`` when there is none to be had."""
        self._child = child.start(self._job, self._log.fields, self._body)
        self._poll = select.poll()
        for descriptor in (self._signals.descriptor, self._child.fragments, self._child.output):
            self._poll.register(descriptor, select.POLLIN)
        try:
            while self.status is None and time.monotonic() < self._abandon_at:
                self._turn()
        finally:
            self._end()

    def last_words(self) -> bytes:
        """What the engine process wrote beside its log."""
        return self._relay.last_words()

    def _end(self) -> None:
        """Leave no engine behind, also when this loop failed; then hear its last."""
        if self.status is None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._reap()
        self._drain(self._child.fragments, self._hear)
        self._drain(self._child.output, self._relay.feed)

    def _turn(self) -> None:
        self._tell_progress()
        ready = {descriptor for descriptor, _ in self._poll.poll(self._wait_milliseconds())}
        if self._child.fragments in ready:
            self._drain(self._child.fragments, self._hear)
        if self._child.output in ready:
            self._drain(self._child.output, self._relay.feed)
        received = self._signals.received()
        if received & STOP_SIGNALS:
            self._request_stop(deadline=False)
        now = time.monotonic()
        if now >= self._deadline:
            self._request_stop(deadline=True)
        if now >= self._kill_at:
            self._kill()
        self._reap()

    def _wait_milliseconds(self) -> float:
        due = [min(self._kill_at, self._abandon_at) if self.stop else self._deadline]
        if self._news() != self._told:
            due.append(self._tell_at)
        return max(0.0, min(min(due) - time.monotonic(), 3600.0)) * 1000

    def _request_stop(self, *, deadline: bool) -> None:
        if self.stop is not None:
            return
        self.stop = StopRequest(deadline, timestamp(dt.datetime.now(dt.UTC)))
        self._kill_at = time.monotonic() + self._job.assignment.stop_grace_seconds
        self._log.info("stopping the engine", cause="deadline" if deadline else "signal")
        try:
            os.write(self._child.orders, STOP)
        except BrokenPipeError:
            pass  # it is ending anyway

    def _kill(self) -> None:
        self._kill_at = float("inf")
        self._reap()
        if self.status is None:
            self._log.warning("the statement did not return: killing the engine")
            self.killed = True
            self._abandon_at = time.monotonic() + ABANDON_SECONDS
            os.kill(self._child.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Collect every child that has ended: pid 1 inherits the orphans of the container."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child.pid:
                self.status = status
                self.statistics["peak_memory_bytes"] = usage.ru_maxrss * 1024

    def _hear(self, data: bytes) -> None:
        for fragment in self._receiver.feed(data):
            self.statistics.update(fragment.get("statistics", {}))
            if "step" in fragment:
                if self._progress[0] == "Starting":
                    self._tell_at = 0.0  # nothing was told yet
                self._progress = (fragment["step"], fragment["percent"])
            if "fault" in fragment:
                told = fragment["fault"]
                self.fault = Fault(
                    ExitCode(told["code"]),
                    told["message"],
                    position=told["position"],
                    traceback=told["traceback"],
                )

    def _drain(self, descriptor: int, take: Any) -> None:
        while True:
            try:
                data = os.read(descriptor, 65536)
            except BlockingIOError:
                return
            if not data:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(descriptor)
                return
            take(data)

    def _news(self) -> tuple[object, ...]:
        return (*self._progress, self._output.written)

    def _tell_progress(self) -> None:
        news, now = self._news(), time.monotonic()
        if news == self._told or now < self._tell_at:
            return
        self._told, self._tell_at = news, now + PROGRESS_SECONDS
        step, percent = self._progress
        updated = timestamp(dt.datetime.now(dt.UTC))
        try:
            self._job.mailbox.write_progress(Progress(self._job.assignment.attempt, step, percent, updated))
            self._job.mailbox.write_log(self._output.tail())
        except OSError as error:
            self._log.warning("progress could not be written", error=str(error))
            self._told = self._news()
