"""The log: one line of JSON an event, with the task, its namespace and its attempt."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

from querytask.logs import JsonFormatter, bound

FORMATTER = JsonFormatter()


def line(message: Any, *arguments: Any, level: int = logging.INFO, error: Any = None) -> dict[str, Any]:
    """The line of a record, parsed."""
    record = logging.LogRecord("querytask.runtime", level, "x.py", 1, message, arguments, error)
    record.created = 1_795_348_800.123
    text = FORMATTER.format(record)
    assert "\n" not in text
    return dict(json.loads(text))


def test_a_line():
    """Time in UTC with milliseconds, level, logger and the message with its arguments."""
    assert line("%d slots, %s", 3, "é") == {
        "time": "2026-11-22T12:00:00.123Z",
        "level": "info",
        "logger": "querytask.runtime",
        "message": "3 slots, é",
    }


def test_what_is_bound_is_in_every_line_inside():
    """And in none outside; an inner value goes over an outer one."""
    with bound(task="a", namespace="n"):
        with bound(attempt=2, task="b"):
            assert {key: line("x")[key] for key in ("task", "namespace", "attempt")} == {
                "task": "b",
                "namespace": "n",
                "attempt": 2,
            }
        assert "attempt" not in line("x")
        assert line("x")["task"] == "a"
    assert "task" not in line("x")


def test_an_error_leaves_what_is_bound():
    """The binding ends with the block, however it ends."""
    try:
        with bound(task="a"):
            raise ValueError
    except ValueError:
        assert "task" not in line("x")


async def test_tasks_of_the_loop_do_not_mix():
    """Two reconciles at once each have their own."""
    seen = []

    async def work(name: str) -> None:
        with bound(task=name):
            await asyncio.sleep(0)
            seen.append((name, line("x")["task"]))

    await asyncio.gather(*(work(name) for name in "abc"))
    assert seen == [(name, name) for name in "abc"]


def test_a_traceback_stays_in_its_line():
    """Its line ends are escaped."""
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        found = line("failed", error=sys.exc_info())
    assert "ValueError: first\nsecond" in found["traceback"]


def test_the_process_logs_to_standard_error():
    """As JSON, from the level on that was asked for; the libraries only their warnings."""
    code = (
        "import logging; from querytask import logs; logs.configure('INFO');"
        "logging.getLogger('querytask.x').info('ours'); logging.getLogger('querytask.x').debug('too low');"
        "logging.getLogger('kopf.objects').info('theirs'); logging.getLogger('kopf.objects').warning('bad');"
        "logging.getLogger('kopf._core.reactor.running').warning('OS signals are ignored: %s', 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": "operator"},
    )
    assert done.stdout == ""
    assert [json.loads(text)["message"] for text in done.stderr.splitlines()] == ["ours", "bad"]
