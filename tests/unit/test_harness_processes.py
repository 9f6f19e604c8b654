"""Processes are ended as a whole group, and never another one that got the same number."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.harness.processes import ProcessRef, Stat, daemon, end, parse_stat, reference, spawn, wait_until

# A program whose child ignores SIGTERM: only a kill of the whole group ends it.
STUBBORN_FAMILY = """
import signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
child += "; print('ready', flush=True); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child]).wait()
"""


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_stat_is_read_behind_the_last_bracket_of_the_name():
    """A command may call itself anything, also `) R 1 (`."""
    fields = " ".join(str(number) for number in range(5, 22))
    assert parse_stat(f"42 (a) R 1 (b) S 7 4 {fields} 99 0 0") == Stat("S", parent=7, group=4, started=21)


def test_a_process_is_alive_until_it_has_ended(sleeper: subprocess.Popen[bytes]):
    """An ended child that nobody has collected yet is not alive."""
    ref = reference(sleeper.pid)
    assert ref.alive()
    sleeper.kill()
    assert wait_until(lambda: not ref.alive(), 10)
    assert sleeper.returncode is None, "it must not have been collected, else this proves nothing"


@pytest.mark.parametrize("change", [{"started": 1 << 60}, {"boot": "another"}], ids=["start", "boot"])
def test_another_process_with_the_same_number_is_never_ended(sleeper: subprocess.Popen[bytes], change: dict):
    """The number of an ended process is given to somebody else, in this boot or the next."""
    stranger: ProcessRef = replace(reference(sleeper.pid), **change)
    assert not stranger.alive()
    end(stranger, grace=0)
    assert sleeper.poll() is None


def test_end_takes_the_children_along(tmp_path: Path):
    """A part's children ignore a polite request and are still gone afterwards."""
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", STUBBORN_FAMILY], log)
    ref = reference(process.pid)
    assert wait_until(lambda: log.read_bytes() == b"ready\n", 10)
    end(ref, grace=0.2)
    assert not ref.group_alive()
    process.wait()


def test_there_is_no_reference_to_nobody():
    """Asking for a process that does not run is an error, not a reference to nothing."""
    with pytest.raises(ProcessLookupError):
        reference(1 << 30)


def test_a_daemon_is_a_session_of_its_own_with_its_output_in_the_log(tmp_path: Path):
    """It goes on when the terminal is closed, and what it says can be read later."""
    log = tmp_path / "log"
    ref = daemon(["sh", "-c", "echo said; echo complained >&2; exec sleep 60"], log)
    assert wait_until(lambda: log.read_text() == "said\ncomplained\n", 10)
    assert os.getsid(ref.pid) == ref.pid
    end(ref, grace=5)
    assert not ref.alive()
