"""Assignments, jobs and real worker processes for the tests of the worker, with defaults for what a test does
not care about.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import querytask_worker
from querytask_worker import contract
from querytask_worker.contract import Assignment, Error, Export, Manifest, Outcome, Stop
from querytask_worker.job import Job
from querytask_worker.limits import Limits
from querytask_worker.mailbox import Mailbox
from querytask_worker.places import Places

GIB = 1024**3
PACKAGE_ROOT = Path(querytask_worker.__file__).parents[1]
PARQUET = Export("Parquet", "Zstd", "out.parquet")
CSV = Export("CSV", "Uncompressed", "out.csv")
JSON = Export("JSON", "Uncompressed", "out.json")


def assignment(sql: str = "SELECT 1", **fields: object) -> Assignment:
    """An assignment of the first attempt."""
    defaults: dict[str, object] = {
        "namespace": "analytics",
        "name": "late-flights",
        "uid": "3f0c",
        "attempt": 1,
        "timeout_seconds": 60.0,
        "retention_seconds": 3600.0,
        "memory_bytes": 2 * GIB,
        "cpu_millis": 2000,
        "spill_bytes": GIB,
    }
    return Assignment(sql=sql, **{**defaults, **fields})  # type: ignore[arg-type]


def places(root: Path) -> Places:
    """Directories of a worker below ``root``; they are made."""
    for name in ("task", "data", "spill"):
        (root / name).mkdir(exist_ok=True)
    return Places(str(root / "task"), str(root / "data"), str(root / "spill"), str(root / "termination"))


def job(root: Path, sql: str, **fields: object) -> Job:
    """A job to run in this process."""
    asked = assignment(sql, **fields)
    where = places(root)
    mailbox = Mailbox(where.task_dir, asked.attempt)
    os.makedirs(mailbox.directory, exist_ok=True)
    limits = Limits(asked.memory_bytes, max(1, asked.cpu_millis // 1000), asked.spill_bytes)
    return Job(asked, where, mailbox, limits, "2026-11-22T10:00:00.000Z", time.monotonic())


@dataclass
class WorkerProcess:
    """A real worker process on directories below ``root``."""

    root: Path
    asked: Assignment
    environ: dict[str, str] = field(default_factory=dict)
    module: tuple[str, ...] = ("querytask_worker",)

    def start(self) -> WorkerProcess:
        """Write the assignment and start the process."""
        self.places = places(self.root)
        self.directory = self.root / "task" / str(self.asked.attempt)
        self.directory.mkdir(exist_ok=True)
        (self.directory / contract.ASSIGNMENT_FILE).write_bytes(contract.dump(self.asked))
        self.log = self.root / f"stderr-{self.asked.attempt}"
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *self._command()],
                env={**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), **self.environ},
                stderr=stderr,
                stdout=subprocess.PIPE,
            )
        return self

    def finish(self, timeout: float = 60) -> WorkerProcess:
        """Wait for its end."""
        self.stdout, _ = self.process.communicate(timeout=timeout)
        self.stderr = self.log.read_text()
        self.code = self.process.returncode
        return self

    def run(self) -> WorkerProcess:
        return self.start().finish()

    def stop(self) -> None:
        """What the kubelet does first."""
        self.process.send_signal(signal.SIGTERM)

    @property
    def outcome(self) -> Outcome:
        return contract.load(Outcome, (self.directory / contract.OUTCOME_FILE).read_bytes())

    @property
    def error(self) -> Error:
        error = self.outcome.error
        assert error is not None
        return error

    @property
    def stopped(self) -> Stop:
        stop = self.outcome.stop
        assert stop is not None
        return stop

    @property
    def termination(self) -> Outcome:
        return contract.load(Outcome, Path(self.places.termination_log).read_bytes())

    @property
    def manifest(self) -> Manifest | None:
        return Mailbox(self.places.task_dir, self.asked.attempt).published()

    @property
    def files(self) -> set[str]:
        """The files of the attempt but those that tell of it."""
        told = {contract.ASSIGNMENT_FILE, contract.PROGRESS_FILE, contract.OUTCOME_FILE, contract.LOG_FILE}
        return {path.name for path in self.directory.iterdir()} - told

    @property
    def spilled(self) -> list[Path]:
        """Files left in the spill directory."""
        return [path for path in Path(self.places.spill_dir).rglob("*") if path.is_file()]

    def engine_pid(self, timeout: float = 20) -> int:
        """The process id of the engine process, once there is one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(await_value(lambda: children.read_text().split()[:1], timeout)[0])

    def await_log(self, text: str, timeout: float = 20) -> None:
        """Wait until the log has a line with ``text``."""
        await_value(lambda: text in self.log.read_text(), timeout)

    def await_progress(self, step: str, timeout: float = 20) -> None:
        """Wait until the progress file tells ``step``."""
        path = self.directory / contract.PROGRESS_FILE
        await_value(lambda: path.exists() and json.loads(path.read_text())["step"] == step, timeout)

    def _command(self) -> list[str]:
        where = self.places
        return [
            *("-m", *self.module, "--attempt", str(self.asked.attempt), "--task-dir", where.task_dir),
            *("--data-dir", where.data_dir, "--spill-dir", where.spill_dir),
            *("--termination-log", where.termination_log),
        ]


def await_value(look, timeout: float = 20):
    """What ``look`` returns, once it is true; a failure of the test after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while not (value := look()):
        assert time.monotonic() < end, "the awaited condition did not come true"
        time.sleep(0.005)
    return value
