"""What befalls a history in tests of both databases: its writer is killed, its volume is full, a page
of its file is overwritten."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import querytask
import querytask_worker
from querytask import errors
from querytask.adapters.store import Store
from tests.component.store.builders import task

WRITES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from tests.component.store.builders import attempt, step, task
from querytask.adapters.store import open_database, open_history

async def main(place, prefix):
    store = await (open_database(place) if "://" in place else open_history(Path(place)))
    async def go_on(lane):
        number = 0
        while True:
            uid = f"{prefix}-{lane}-{number}"
            await store.record(task(uid, message="x" * 500), attempt(), None, [step()])
            print(uid, flush=True)
            number += 1
    await asyncio.gather(*[go_on(lane) for lane in range(8)])

asyncio.run(main(*sys.argv[1:]))
"""

ROOTS = [
    Path(querytask.__path__[0]).parent,
    Path(querytask_worker.__path__[0]).parent,
    Path(__file__).parents[3],
]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, ROOTS))}


def kill_writers(place: str) -> list[str]:
    """SIGKILL in the middle of commits, again and again, to a process that writes to the folder or the URL
    ``place``; the uids of the rows that ``record`` had come back with."""
    promised: list[str] = []
    for round_number, lines in enumerate((60, 200)):
        command = [sys.executable, "-c", WRITES_UNTIL_KILLED, place, f"round{round_number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as writing:
            assert writing.stdout is not None
            promised += [writing.stdout.readline().strip() for _ in range(lines)]
            writing.send_signal(signal.SIGKILL)
            promised += [line.strip() for line in writing.stdout if line.endswith("\n")]
    assert "" not in promised
    return promised


async def assert_kept(history: Store, promised: list[str]) -> None:
    """Every row that the killed writers were promised is there, whole."""
    await history.integrity_check()
    found = {key.uid for key in await history.present_tasks("analytics", limit=100_000)}
    assert set(promised) <= found
    stored = await history.get(promised[-1])
    assert stored is not None
    assert len(stored.attempts) == len(await history.transitions(promised[-1])) == 1


def fill_up(path: Path) -> None:
    """Write until the volume takes no more."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    assert os.statvfs(path).f_bavail == 0


async def write_until_refused(history: Store) -> tuple[list[str], errors.StoreUnavailable]:
    """On a full volume: the uids of what was still written, and what was said of the first that was not."""
    written: list[str] = []
    for number in range(300):
        try:
            await history.record(task(f"uid-{number}", message="y" * 4000))
        except errors.StoreUnavailable as error:
            return written, error
        written.append(f"uid-{number}")
    raise AssertionError(f"the volume is not full: {len(written)} tasks were written")


def damage(path: Path, sample: bytes) -> None:
    """Overwrite the head of a page that holds ``sample``."""
    content = bytearray(path.read_bytes())
    page = content.rindex(sample) // 4096 * 4096
    content[page : page + 100] = b"\xff" * 100
    path.write_bytes(content)
