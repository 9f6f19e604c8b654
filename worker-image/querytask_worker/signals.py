"""Signals as bytes of a pipe: a handler does nothing, so that no code is ever interrupted half-way.

The interpreter's wake-up descriptor gets the number of each signal; the supervisor's loop waits on it beside
its other descriptors.
"""

from __future__ import annotations

import os
import signal

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class Signals:
    """Catches the signals that stop the worker and those that tell of a child's end."""

    def __init__(self) -> None:
        self.descriptor, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, _nothing)

    def received(self) -> set[int]:
        """The numbers that came since the last call; never waits."""
        try:
            return set(os.read(self.descriptor, 4096))
        except BlockingIOError:
            return set()


def forget() -> None:
    """In a forked child: no signal is passed on to the parent's pipe any more, and those that stop are
    ignored.

    A stop reaches the engine through its supervisor; a terminal's Ctrl-C must not reach it twice.
    """
    signal.set_wakeup_fd(-1)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _nothing(number: int, frame: object) -> None:
    pass
