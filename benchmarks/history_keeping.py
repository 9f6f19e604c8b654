"""How long others have to wait for the history while it forgets tasks and while it is backed up.

    python -m benchmarks.history_keeping [--tasks 200000] [--seconds 20]

Another process begins to write every few milliseconds, and lets go at once: how long it waits for its turn,
which it asks for every millisecond, is how long the operator has held the file. First it does so beside an
idle history, which tells what the machine itself costs; then while tasks whose objects are gone are
forgotten; then while a backup is made. It ends with what a start pays for looking at every page.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bounds import report
from benchmarks.history_rows import build
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.store import Backups, Purged, Store, open_history, prepare_history, sqlite
from querytask.runtime.purging import Purger

NOW = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
KEPT = dt.timedelta(days=1)
IDLE_SECONDS = 5.0
_ASKS = """
import sys, time
from pysqlite3 import dbapi2
other = dbapi2.connect(sys.argv[1], isolation_level=None, timeout=0)
print("ready", flush=True)
while True:
    began = time.perf_counter()
    while True:
        try:
            other.execute("BEGIN IMMEDIATE")
            break
        except dbapi2.OperationalError:
            time.sleep(0.001)
    other.execute("ROLLBACK")
    print(time.perf_counter() - began, flush=True)
    time.sleep(0.002)
"""


class Held:
    """A history that remembers for how long each call to forget held its writer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def purge(self, uids: Sequence[str], now: dt.datetime, kept: dt.timedelta) -> Purged:
        """As the history does."""
        purged = await self._store.purge(uids, now, kept)
        self.seconds.append(purged.seconds)
        return purged


class Counted:
    """What the purger counts."""

    def __init__(self) -> None:
        self.tasks = 0

    def purged(self, tasks: int) -> None:
        """So many more."""
        self.tasks += tasks

    def removal_failed(self) -> None:
        """None should."""
        raise AssertionError("there are no files")


@contextlib.contextmanager
def asking(path: Path, waits: list[float]) -> Iterator[None]:
    """Another process asks for its turn; what it waited is in ``waits`` at the end."""
    command = [sys.executable, "-c", _ASKS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            time.sleep(0.2)
            other.terminate()
            waits += [float(line) for line in other.stdout if line.endswith("\n")]


async def purge(store: Any, folder: Path, seconds: float) -> tuple[int, float]:
    """Forget tasks for ``seconds``, as the operator does; how many went, and in what time."""
    counted, volume = Counted(), ExportsVolume(folder)
    purger = Purger(
        store, volume, living_tasks=_nobody, clock=lambda: NOW, kept=KEPT, unreadable=KEPT, metrics=counted
    )
    began = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(purger.run_once(), seconds)
    took = time.perf_counter() - began
    volume.close()
    return counted.tasks, took


async def _nobody() -> frozenset[str]:
    return frozenset()


async def run(folder: Path, seconds: float) -> int:
    """Measure, print and compare with the bounds."""
    path, store = folder / sqlite.FILE_NAME, await open_history(folder)
    idle: list[float] = []
    with asking(path, idle):
        await asyncio.sleep(IDLE_SECONDS)
    purging: list[float] = []
    with asking(path, purging):
        held = Held(store)
        gone, took = await purge(held, folder, seconds)
    copying: list[float] = []
    with asking(path, copying):
        began = time.perf_counter()
        made = await Backups(folder).make(NOW, 1)
        copied = time.perf_counter() - began
    await store.close()
    prepared = await prepare_history(folder, lambda: NOW)
    print(f"idle: the longest wait was {max(idle) * 1000:.1f} ms")
    print(f"forgotten: {gone:,} tasks in {took:.1f} s, {gone / took:.0f} a second")
    print(f"backup: {made.bytes / 1e6:.0f} MB in {copied:.1f} s, with its check")
    print(f"start: {prepared.bytes / 1e6:.0f} MB looked at in {prepared.seconds:.2f} s")
    print(f"backup: the longest wait was {max(copying) * 1000:.1f} ms; it holds up no writer")
    print(f"forgetting: a call took {max(held.seconds) * 1000:.1f} ms at the longest, with its checkpoint")
    return 0 if report("history_purge_held_milliseconds", max(purging) * 1000) else 1


def main() -> int:
    """Make a history of finished tasks whose objects are gone, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_keeping", description=__doc__)
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        build(folder, chosen.tasks)
        connection = sqlite.driver().connect(str(folder / sqlite.FILE_NAME))
        with connection:
            connection.execute("UPDATE tasks SET object_deleted_at = completed_at")
        connection.close()
        return asyncio.run(run(folder, chosen.seconds))


if __name__ == "__main__":
    sys.exit(main())
