"""Runs the tiers of tests one after the other, says how long each usually takes, and ends with a summary.

On a new machine the slow set-up (the node's program takes 8 minutes to build) goes on in the background while
lint and the unit tests run. A tier that fails does not stop the others: one run tells everything. A cluster
that was started for the tests is ended after them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
SETUP_LOG = ROOT / ".build" / "setup.log"


@dataclass(frozen=True)
class Tier:
    """A make target. `waits` for the set-up; `usually` is how long it takes on two cores."""

    target: str
    usually: str
    waits: bool = True


TIERS = (
    Tier("lint-python", "40 s", waits=False),
    Tier("test-unit", "25 s", waits=False),
    Tier("test-component", "2 min", waits=False),
    Tier("test-worker", "30 s", waits=False),
    Tier("lint-go", "20 s"),
    Tier("test-chart", "40 s"),
    Tier("test-controlplane", "14 min"),
    Tier("test-e2e", "10 min"),
)


@dataclass(frozen=True)
class Outcome:
    """How a step went."""

    name: str
    passed: bool
    seconds: float


def main() -> int:
    """Returns 0 when every tier passed."""
    began = time.monotonic()
    if not make("setup-python").passed:
        return 1
    ran_before = cluster_runs()
    setup, log = start_setup()
    try:
        outcomes = [make(tier.target, tier.usually) for tier in TIERS if not tier.waits]
        if wait_for_setup(setup):
            outcomes += [make(tier.target, tier.usually) for tier in TIERS if tier.waits]
        else:
            outcomes.append(Outcome("setup", False, time.monotonic() - began))
    finally:
        end(setup, log)
        if not ran_before:
            make("cluster-down")
    return report(outcomes, time.monotonic() - began)


def make(target: str, usually: str = "") -> Outcome:
    """Runs one make target in the foreground."""
    say(f"== {target}" + (f" (usually {usually})" if usually else ""))
    began = time.monotonic()
    code = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, check=False).returncode
    return Outcome(target, code == 0, time.monotonic() - began)


def cluster_runs() -> bool:
    """Whether there is a cluster that is not ours to end."""
    if os.environ.get("CLUSTER", "embedded") != "embedded":
        return True
    command = [sys.executable, "-m", "cluster.harness", "status"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def start_setup() -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Starts the rest of the set-up, at a low priority and with its output in a file."""
    SETUP_LOG.parent.mkdir(exist_ok=True)
    log = SETUP_LOG.open("wb")
    command = ["nice", "make", "--no-print-directory", "setup"]
    setup = subprocess.Popen(
        command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
    )
    return setup, log


def wait_for_setup(setup: subprocess.Popen[bytes]) -> bool:
    """Waits, showing what is going on; whether the set-up succeeded."""
    if setup.poll() is None:
        say("== setup (usually 10 min on a new machine, 1 s on one that has everything)")
    shown = 0
    while setup.poll() is None:
        shown = show(shown)
        time.sleep(0.5)
    show(shown)
    return setup.returncode == 0


def show(offset: int) -> int:
    """Prints what the set-up has said since; returns how far it has been printed."""
    text = SETUP_LOG.read_text(errors="replace")
    print(text[offset:], end="", flush=True)
    return len(text)


def end(setup: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Ends a set-up that is still going on because something else failed."""
    if setup.poll() is None:
        os.killpg(setup.pid, signal.SIGTERM)
        setup.wait()
    log.close()


def report(outcomes: Sequence[Outcome], seconds: float) -> int:
    """Prints a line for each tier; returns the exit code."""
    say("== summary")
    for outcome in outcomes:
        say(f"{'passed' if outcome.passed else 'FAILED':8} {outcome.name:20} {outcome.seconds:7.1f} s")
    say(f"all in {seconds:.0f} s")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
