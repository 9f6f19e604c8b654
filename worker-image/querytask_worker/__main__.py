"""The worker's command line: ``python3 -m querytask_worker --attempt N [--task-dir DIR] [--data-dir DIR]
...``.

Parsed by hand: a pod's start is measured, and ``argparse`` would be the dearest import of the supervisor. The
signals are set up first, because the kernel drops a SIGTERM that reaches pid 1 without a handler.
"""

from __future__ import annotations

import sys

USAGE = (
    "usage: python3 -m querytask_worker --attempt N "
    "[--task-dir DIR] [--data-dir DIR] [--spill-dir DIR] [--termination-log FILE]"
)
OPTIONS = {
    "--task-dir": "task_dir",
    "--data-dir": "data_dir",
    "--spill-dir": "spill_dir",
    "--termination-log": "termination_log",
}


def main(arguments: list[str]) -> int:
    """Run one attempt; returns the exit code of its class, or 2 for a wrong command line."""
    from .signals import Signals

    signals = Signals()
    try:
        attempt, places = parse(arguments)
    except ValueError as error:
        sys.stderr.write(f"{error}\n{USAGE}\n")
        return 2
    from .places import Places
    from .worker import Worker

    return Worker(Places(**places), attempt, signals).run()


def parse(arguments: list[str]) -> tuple[int, dict[str, str]]:
    """The attempt, and the places that were named. Raises ``ValueError`` with a sentence for people."""
    attempt, places, rest = 0, {}, iter(arguments)
    for argument in rest:
        option, given, value = argument.partition("=")
        value = value if given else next(rest, "")
        if option == "--attempt":
            if not value.isdecimal() or int(value) < 1:
                raise ValueError(f"--attempt must be a whole number from 1, not {value!r}")
            attempt = int(value)
        elif option in OPTIONS and value:
            places[OPTIONS[option]] = value
        else:
            raise ValueError(
                f"{option} is no option" if option not in OPTIONS else f"{option} must have a value"
            )
    if not attempt:
        raise ValueError("--attempt must be given")
    return attempt, places


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
