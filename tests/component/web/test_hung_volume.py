"""A volume that does not answer costs a bounded time and its own threads, and nobody else anything.

The volume here hangs as a network mount does whose server is away: opening its root blocks in the system, in
the thread that does it, until somebody opens the other end of a pipe.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from querytask import errors
from querytask.adapters.exports import ExportsVolume, ServedFile
from querytask.adapters.exports.patience import PatientThreads
from querytask.adapters.store import StoredTask
from querytask.names import Phase
from querytask.web.__main__ import EXPORTS_SECONDS
from tests.component.store import builders
from tests.component.web.asking import ask

PATIENCE = 0.2
SOON = 4.0
"""On a machine that does much else."""


class Hanging(type(Path())):  # type: ignore[misc]
    """A folder that cannot be opened while the pipe ``gate`` in it has no writer."""

    def __fspath__(self) -> str:
        folder = str(self)
        with open(f"{folder}/gate", "rb"):
            return folder


@pytest.fixture
async def hung(tmp_path: Path) -> AsyncIterator[ExportsVolume]:
    """A volume of two threads that hangs; in the end it answers again."""
    os.mkfifo(tmp_path / "gate")
    volume = ExportsVolume(Hanging(tmp_path), threads=2, patience=PATIENCE)
    yield volume
    release(tmp_path)
    volume.close()


def release(folder: Path) -> int:
    """Let it answer from now on."""
    return os.open(folder / "gate", os.O_RDWR)


def read(volume: ExportsVolume) -> Any:
    return volume.read("analytics", "uid-1", None)


async def refusal(volume: ExportsVolume) -> str:
    """What a read is told."""
    with pytest.raises(errors.ExportsVolumeError) as refused:
        await read(volume)
    return str(refused.value)


async def test_a_read_that_hangs_has_an_end(hung: ExportsVolume):
    """And once all threads hang nobody waits any more."""
    began = time.monotonic()
    for found in await asyncio.gather(read(hung), read(hung), return_exceptions=True):
        assert isinstance(found, errors.ExportsVolumeError)
    assert PATIENCE <= time.monotonic() - began < SOON
    async with asyncio.timeout(5):
        # A thread that began late had nothing to do any more, and hangs by a later read.
        while "every thread that reads it hangs" not in await refusal(hung):
            pass


async def test_others_have_their_threads(hung: ExportsVolume):
    """However many reads hang."""
    before = set(threading.enumerate())
    reads = [asyncio.ensure_future(read(hung)) for _ in range(50)]
    await asyncio.sleep(PATIENCE / 4)
    assert len(set(threading.enumerate()) - before) == 2
    assert await asyncio.to_thread(lambda: "served") == "served"
    for found in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(found, errors.ExportsVolumeError)


async def test_a_volume_that_comes_back_is_read_again(hung: ExportsVolume, tmp_path: Path):
    """By the same threads; a file that was opened too late is not left open."""
    names = ("analytics", "uid-1", "1")
    (tmp_path / "/".join(names)).mkdir(parents=True)
    (tmp_path / "/".join(names) / "late.csv").write_text("1")
    for _ in range(2):
        with pytest.raises(errors.ExportsVolumeError):
            await hung.open_file("analytics", "uid-1", 1, "late.csv")
    release(tmp_path)
    async with asyncio.timeout(5):
        await back(hung)
    assert not [link for link in descriptors() if link.endswith("late.csv")]


async def back(volume: ExportsVolume) -> None:
    """Come back when the volume says that the file is there."""
    while True:
        try:
            assert await volume.has_file("analytics", "uid-1", 1, "late.csv")
            return
        except errors.ExportsVolumeError:
            await asyncio.sleep(0.01)


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return found


async def test_who_gives_up_leaves_no_file_open():
    """A client may go while its file is being opened; that alone is no hanging."""
    opening, go = threading.Event(), threading.Event()
    dropped: asyncio.Queue[str] = asyncio.Queue()
    threads, loop = PatientThreads(1, 5), asyncio.get_running_loop()

    def drop(found: str) -> None:
        loop.call_soon_threadsafe(dropped.put_nowait, found)

    def open_slowly() -> str:
        opening.set()
        go.wait(5)
        return "file"

    asked = asyncio.ensure_future(threads.run(open_slowly, drop=drop))
    await asyncio.to_thread(opening.wait, 5)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    following = asyncio.ensure_future(threads.run(lambda: "next"))
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.wait_for(dropped.get(), 5) == "file"
    assert await following == "next"
    threads.close()


async def test_those_who_wait_are_bounded():
    """The others are told at once."""
    threads, go = PatientThreads(1, 5, waiting=2), threading.Event()
    reads = [asyncio.ensure_future(threads.run(lambda: go.wait(5))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError, match="2 reads wait for it already"):
        await threads.run(lambda: True)
    go.set()
    assert await asyncio.gather(*reads) == [True] * 3
    assert await threads.run(lambda: True)
    threads.close()


async def test_what_a_read_raises_is_raised():
    """And costs no thread."""
    threads = PatientThreads(1, 5)
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            await threads.run(lambda: os.stat("/no/such/file"))
    threads.close()


async def test_the_end_of_the_program_does_not_wait_for_it(hung: ExportsVolume):
    """A read that hangs keeps nobody from stopping."""
    with pytest.raises(errors.ExportsVolumeError):
        await read(hung)
    began = time.monotonic()
    hung.close()
    assert time.monotonic() - began < SOON


async def test_closing_a_file_waits_for_nobody(tmp_path: Path):
    """It may hang as reading does, and a download that ends must not take the others with it."""
    closing, go = threading.Event(), threading.Event()

    class Slow(ServedFile):
        """Hangs when it is closed."""

        def close(self) -> None:
            closing.set()
            go.wait(2 * SOON)

    volume = ExportsVolume(tmp_path, threads=1, patience=PATIENCE)
    began = time.monotonic()
    volume.let_go(Slow(0, 0))
    assert time.monotonic() - began < SOON
    assert await asyncio.to_thread(closing.wait, 5)
    go.set()
    assert (await read(volume)).manifest is None
    volume.close()


class One:
    """A history of one task that has exported a file."""

    async def get(self, uid: str) -> StoredTask:
        task = builders.task("uid-1", Phase.SUCCEEDED, completed_at=builders.at(1), result=builders.result())
        return StoredTask(
            task=task,
            sql_hash="a" * 64,
            normal_hash="b" * 64,
            updated_at=builders.T0,
            version=1,
            attempts=(builders.attempt(finished_at=builders.at(1)),),
            export=builders.export(),
        )


@pytest.mark.parametrize("part", ["export", "manifest"])
async def test_what_lies_there_is_a_503_with_its_code(hung: ExportsVolume, tmp_path: Path, part: str):
    """Soon, and with when to come back."""
    answer = await ask(One(), tmp_path, f"/api/v1/tasks/uid-1/{part}", volume=hung)
    assert (answer.status_code, answer.json()["code"]) == (503, "ExportsUnavailable")
    assert answer.headers["retry-after"] == "5"


async def test_the_task_itself_is_answered(hung: ExportsVolume, tmp_path: Path):
    """Only whether its file is there is not known."""
    answer = await ask(One(), tmp_path, "/api/v1/tasks/uid-1", volume=hung)
    assert answer.status_code == 200
    assert answer.json()["export"]["file_present"] is None


def test_the_api_has_its_patience():
    """Less than a proxy has."""
    assert 1 <= EXPORTS_SECONDS <= 10
