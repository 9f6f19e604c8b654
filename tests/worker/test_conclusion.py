"""How an attempt ended, as a table of what was seen and what is concluded."""

from __future__ import annotations

import signal

import pytest

from querytask_worker.conclusion import Observed, StopRequest, conclude, shortened
from querytask_worker.contract import Error, ExitCode, Outcome, Statistics, dump
from querytask_worker.faults import MESSAGE_BYTES, Fault

REQUESTED = "2026-11-22T10:00:01.000Z"
SIGNAL = StopRequest(deadline=False, requested_at=REQUESTED)
DEADLINE = StopRequest(deadline=True, requested_at=REQUESTED)
WRONG_SQL = Fault(ExitCode.SQL_ERROR, "Parser Error: no", position="1:1")


def exited(code: int) -> int:
    return code << 8


def error(outcome: Outcome) -> Error:
    assert outcome.error is not None
    return outcome.error


def seen(**facts: object) -> Observed:
    defaults: dict[str, object] = {
        "attempt": 1,
        "started_at": "2026-11-22T10:00:00.000Z",
        "finished_at": "2026-11-22T10:00:02.000Z",
        "timeout_seconds": 30.0,
    }
    return Observed(**{**defaults, **facts})  # type: ignore[arg-type]


TABLE = [
    # what was seen, exit code, reason, category, step of the stop
    (seen(published=True), 0, "Completed", None, None),
    (seen(published=True, stop=SIGNAL), 0, "Completed", None, None),
    (seen(published=True, stop=DEADLINE, killed=True, status=signal.SIGKILL), 0, "Completed", None, None),
    (seen(published=True, status=signal.SIGSEGV), 0, "Completed", None, None),
    (seen(published=True, fault=WRONG_SQL), 0, "Completed", None, None),
    (seen(fault=WRONG_SQL), 10, "SqlError", "User", None),
    (seen(fault=WRONG_SQL, stop=SIGNAL), 10, "SqlError", "User", None),
    (seen(fault=WRONG_SQL, stop=DEADLINE), 10, "SqlError", "User", None),
    (seen(fault=Fault(ExitCode.SQL_NOT_ALLOWED, "x")), 11, "SqlNotAllowed", "User", None),
    (seen(fault=Fault(ExitCode.PARAMETER_ERROR, "x")), 12, "ParameterError", "User", None),
    (seen(fault=Fault(ExitCode.OUT_OF_MEMORY, "x")), 30, "OutOfMemory", "Resource", None),
    (seen(fault=Fault(ExitCode.SPILL_FULL, "x")), 31, "SpillFull", "Resource", None),
    (seen(fault=Fault(ExitCode.EXPORT_VOLUME_FULL, "x")), 32, "ExportVolumeFull", "Resource", None),
    (seen(fault=Fault(ExitCode.SOURCE_UNREACHABLE, "x")), 40, "SourceUnreachable", "External", None),
    (seen(fault=Fault(ExitCode.INTERNAL_ERROR, "x")), 70, "InternalError", "Internal", None),
    (seen(stop=DEADLINE), 20, "Timeout", "User", "Interrupted"),
    (seen(stop=DEADLINE, killed=True, status=signal.SIGKILL), 20, "Timeout", "User", "Killed"),
    (seen(stop=SIGNAL), 21, "Stopped", "Internal", "Interrupted"),
    (seen(stop=SIGNAL, killed=True, status=signal.SIGKILL), 21, "Stopped", "Internal", "Killed"),
    (seen(stop=SIGNAL, status=signal.SIGSEGV), 21, "Stopped", "Internal", "Interrupted"),
    (seen(status=signal.SIGKILL, oom_kills=1), 30, "OutOfMemory", "Resource", None),
    (seen(status=signal.SIGKILL), 70, "InternalError", "Internal", None),
    (seen(status=signal.SIGSEGV, oom_kills=1), 70, "InternalError", "Internal", None),
    (seen(status=signal.SIGABRT, output=b"what():  std::bad_alloc"), 30, "OutOfMemory", "Resource", None),
    (seen(status=signal.SIGABRT, output=b"what():  nothing"), 70, "InternalError", "Internal", None),
    (seen(status=exited(1), output=b"MemoryError"), 30, "OutOfMemory", "Resource", None),
    (seen(status=exited(1), output=b"ImportError"), 70, "InternalError", "Internal", None),
    (seen(status=exited(0)), 70, "InternalError", "Internal", None),
]


@pytest.mark.parametrize(("facts", "code", "reason", "category", "step"), TABLE)
def test_every_end_has_one_class(
    facts: Observed, code: int, reason: str, category: str | None, step: str | None
):
    outcome = conclude(facts)
    assert (outcome.exit_code, outcome.reason) == (code, reason)
    assert (outcome.error.category if outcome.error else None) == category
    assert (outcome.error.code if outcome.error else None) == (reason if category else None)
    assert (outcome.stop.step if outcome.stop else None) == step


def test_an_engine_that_died_is_told_with_the_signal_and_its_last_words():
    told = error(conclude(seen(status=signal.SIGSEGV, output=b"Fatal Python error")))
    assert "SIGSEGV" in told.message
    assert told.traceback == "Fatal Python error"


def test_a_stop_says_when_it_was_asked_for_and_when_it_was_over():
    stop = conclude(seen(stop=SIGNAL)).stop
    assert stop is not None
    assert (stop.requested_at, stop.finished_at) == (REQUESTED, "2026-11-22T10:00:02.000Z")


def test_statistics_are_told_with_every_end():
    measured = Statistics(peak_memory_bytes=1)
    assert conclude(seen(statistics=measured, stop=SIGNAL)).statistics == measured


def test_a_message_is_cut_at_4_kib_of_utf8():
    message = error(conclude(seen(fault=Fault(ExitCode.SQL_ERROR, "ä" * 10000)))).message
    assert len(message.encode()) <= MESSAGE_BYTES
    assert message.endswith("…")


def test_a_shortened_outcome_keeps_its_class():
    outcome = conclude(seen(fault=Fault(ExitCode.INTERNAL_ERROR, "x" * 4000, traceback="y" * 8000)))
    short = shortened(outcome, 100)
    assert (short.exit_code, short.reason, len(error(short).message)) == (70, "InternalError", 100)
    assert error(short).traceback is None
    assert len(dump(short)) < 600
    plain = conclude(seen(published=True))
    assert shortened(plain, 1) == plain
