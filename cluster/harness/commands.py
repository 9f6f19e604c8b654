"""Running small programs to their end, with their output in the error when they fail."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.harness.errors import CommandError, PrerequisiteError

TAIL_LINES = 30


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> str:
    """Runs a program and returns what it printed on its standard output.

    Raises:
        PrerequisiteError: there is no such program.
        CommandError: it failed, or was not done after `seconds`.
    """
    command = " ".join(argv)
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=environment,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise PrerequisiteError(f"the program `{argv[0]}` must be installed; `make setup` does it") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"`{command}` must be done within {seconds:g} s, but was not") from None
    if done.returncode != 0:
        raise CommandError(
            f"`{command}` failed with exit code {done.returncode}:\n{tail(done.stderr or done.stdout)}"
        )
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether a program that exists runs without an error. For questions, where a no is an answer."""
    try:
        return subprocess.run(list(argv), capture_output=True, check=False, timeout=60).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a text, indented so that they stand out in an error message."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def tail_of(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log file, which may not exist."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            return tail(file.read().decode(errors="replace"), lines)
    except FileNotFoundError:
        return "    (no log)"
