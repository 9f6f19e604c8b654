"""What leaves the worker beside files: log lines, and the fragments between its two processes."""

from __future__ import annotations

import json
import os

import pytest

from querytask_worker.__main__ import parse
from querytask_worker.channel import Receiver, Sender
from querytask_worker.log import LINE_BYTES, Log
from querytask_worker.output import TAIL_BYTES, Output, Relay


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_a_line_is_json_with_the_fields_it_is_bound_to(lines: list[bytes], log: Log):
    log.bind(task="t", attempt=1).warning("careful\n", path="/ä")
    line = json.loads(lines[0])
    assert lines[0].count(b"\n") == 1
    assert (line["level"], line["message"], line["task"], line["attempt"], line["path"]) == (
        "WARNING",
        "careful\n",
        "t",
        1,
        "/ä",
    )


def test_a_long_message_is_cut(lines: list[bytes], log: Log):
    log.info("x" * 100000)
    assert len(lines[0]) < LINE_BYTES


def test_a_log_that_cannot_be_written_costs_no_query():
    def refuse(line: bytes) -> None:
        raise OSError

    Log(refuse).error("nobody hears")


def test_the_tail_is_the_last_whole_lines(pipe):
    output = Output(-1)
    for number in range(3000):
        output.write(f"{number:099d}\n".encode())
    tail = output.tail()
    assert TAIL_BYTES - 100 < len(tail) <= TAIL_BYTES
    assert tail.startswith(b"0")
    assert tail.endswith(b"2999\n")
    assert tail.count(b"\n") * 100 == len(tail)


def test_words_of_the_engine_process_become_lines(lines: list[bytes], pipe):
    output = Output(-1)
    relay = Relay(output, Log(output.write, {"task": "t"}))
    relay.feed(b'{"time": "x", "message": "a log line"}\nterminate call')
    relay.feed(b"ed after throwing\n\n  what():  std::bad_alloc")
    assert relay.last_words() == b"terminate called after throwing\n  what():  std::bad_alloc\n"
    messages = [json.loads(line)["message"] for line in output.tail().splitlines()]
    assert messages == ["a log line", "terminate called after throwing", "  what():  std::bad_alloc"]


def test_fragments_survive_being_torn(pipe):
    read, write = pipe
    Sender(write)(step="Running", percent=None)
    Sender(write)(fault={"message": "ä\n"})
    receiver, heard = Receiver(), []
    for byte in os.read(read, 1000) + b'{"torn":':
        heard += receiver.feed(bytes([byte]))
    assert heard == [{"step": "Running", "percent": None}, {"fault": {"message": "ä\n"}}]


def test_a_supervisor_that_is_gone_is_not_told():
    read, write = os.pipe()
    os.close(read)
    Sender(write)(step="Running")
    os.close(write)


def test_the_command_line_names_attempt_and_places():
    assert parse(["--attempt", "2", "--task-dir=/t", "--spill-dir", "/s"]) == (
        2,
        {"task_dir": "/t", "spill_dir": "/s"},
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--attempt must be given"),
        (["--attempt", "x"], "--attempt must be a whole number from 1, not 'x'"),
        (["--attempt", "0"], "must be a whole number from 1"),
        (["--attempt", "1", "--data-dir"], "--data-dir must have a value"),
        (["--attempt", "1", "--verbose"], "--verbose is no option"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], told: str):
    with pytest.raises(ValueError, match=told):
        parse(arguments)
