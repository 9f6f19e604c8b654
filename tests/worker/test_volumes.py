"""Full volumes, read-only ones, and a container that is too small.

The file systems and the cgroup are real, so these take root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from querytask_worker import contract
from tests.worker.builders import CSV, PARQUET
from tests.worker.test_worker import told_once

MIB = 1024 * 1024
BIG = "SELECT hash(range) AS h, md5(range::VARCHAR) AS m FROM range(3000000)"
SPILLING = "SELECT * FROM (SELECT uuid() AS u FROM range(3000000)) ORDER BY u"
BALLAST = "ballast"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Mount a tmpfs with options as a directory of the worker's."""
    mounted: list[Path] = []

    def mount(name: str, options: str) -> Path:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
        mounted.append(path)
        return path

    yield mount
    for path in reversed(mounted):
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("asked", [PARQUET, CSV], ids=lambda asked: asked.format)
def test_a_result_that_fills_the_volume_is_told_and_leaves_it_usable(worker, mount, asked):
    volume = mount("task", "size=4m")
    process = worker(BIG, export=asked).run()
    told_once(process, 32, "ExportVolumeFull")
    assert "No space left" in process.error.message
    assert (process.manifest, process.files) == (None, set())
    assert os.statvfs(volume).f_bavail * os.statvfs(volume).f_frsize > 3 * MIB


def test_a_volume_that_is_full_from_the_middle_on_still_gets_the_outcome(worker, mount):
    """Others fill it while the query runs: the outcome has its room set aside."""
    volume = mount("task", "size=2m")
    process = worker("SELECT sleep_ms(1500), 1 AS a", export=PARQUET).start()
    process.await_progress("Running")
    fill(volume)
    process.finish()
    told_once(process, 32, "ExportVolumeFull")
    assert process.files == set()


def test_a_volume_that_was_full_before_is_told_by_the_termination_message(worker, mount):
    volume = mount("task", "size=1m")
    process = worker("SELECT 1 AS a", export=PARQUET).start()
    process.process.send_signal(signal.SIGSTOP)
    fill(volume)
    process.process.send_signal(signal.SIGCONT)
    process.finish()
    assert (process.code, process.termination.reason) == (32, "ExportVolumeFull")
    assert process.files <= {"_outcome.json.partial"}


def test_the_log_gives_way_to_the_outcome(worker, mount):
    """Where nothing could be set aside, what the outcome can do without makes room for it."""
    volume = mount("task", "size=1m")
    process = worker("SELECT 1 AS a", export=PARQUET).start()
    process.process.send_signal(signal.SIGSTOP)
    (process.directory / contract.LOG_FILE).write_bytes(b"x" * 8192)
    fill(volume)
    process.process.send_signal(signal.SIGCONT)
    process.finish()
    told_once(process, 32, "ExportVolumeFull")


def test_a_spill_that_fills_its_volume_is_spill_full(worker, mount):
    """The disk may be smaller than what the task was promised."""
    mount("spill", "size=4m")
    process = worker(SPILLING, memory_bytes=128 * MIB, export=PARQUET).run()
    told_once(process, 31, "SpillFull")
    assert process.files == set()


def test_a_task_directory_that_cannot_be_written_is_an_internal_error(worker, mount, tmp_path):
    volume = mount("task", "size=1m")
    (volume / "1").mkdir()
    process = worker("SELECT 1 AS a", export=PARQUET)
    (volume / "1" / contract.ASSIGNMENT_FILE).write_bytes(contract.dump(process.asked))
    subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
    process.places = _places(tmp_path)
    process.directory = volume / "1"
    code = subprocess.run(
        [sys.executable, *process._command()],
        env={**os.environ, "PYTHONPATH": str(Path(contract.__file__).parents[1])},
        capture_output=True,
        check=False,
    ).returncode
    assert (code, process.termination.reason) == (70, "InternalError")
    assert "Read-only file system" in process.termination.error.message


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A memory cgroup of 160 MiB, of whichever version this machine has."""
    first = Path("/sys/fs/cgroup/memory")
    root = first if (first / "memory.limit_in_bytes").exists() else Path("/sys/fs/cgroup")
    group = root / f"querytask-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = "memory.limit_in_bytes" if root == first else "memory.max"
        (group / limit).write_text(str(160 * MIB))
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield group
    group.rmdir()


def test_an_engine_that_the_kernel_kills_for_memory_is_out_of_memory(worker, cgroup):
    """The container is smaller than the worker was told, so that its own bound comes too late."""
    process = worker("SELECT list(range) FROM range(200000000)")
    command = process._command
    script = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
    )
    process._command = lambda: ["-c", script, str(cgroup / "cgroup.procs"), sys.executable, *command()]
    process.run()
    told_once(process, 30, "OutOfMemory")
    assert "kernel killed the engine" in process.error.message


def fill(volume: Path, keep: int = 0) -> None:
    """Take what is free on a volume, but for ``keep`` bytes."""
    with (volume / BALLAST).open("wb") as file:
        free = os.statvfs(volume).f_bavail * os.statvfs(volume).f_frsize - keep
        os.posix_fallocate(file.fileno(), 0, free)


def _places(root: Path):
    from tests.worker.builders import places

    return places(root)
