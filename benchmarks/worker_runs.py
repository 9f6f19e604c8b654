"""Runs a worker, and a bare DuckDB beside it, as whole processes; for the benchmarks of the worker.

The bare run is what a user without this project would write: a Python process that connects, sets the same
threads and memory, and writes the same query to the same kind of Parquet file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from querytask_worker import contract
from querytask_worker.contract import Assignment, Export, Outcome
from querytask_worker.limits import limits

GIB = 1024**3
BARE = """
import json, os, sys, time
import duckdb
run = json.load(sys.stdin)
os.chdir(run["data"])
connection = duckdb.connect()
connection.execute(f"SET threads = {run['threads']}; SET memory_limit = '{run['memory']}B'")
started = time.monotonic()
*prelude, query = run["statements"]
for statement in prelude:
    connection.execute(statement)
connection.execute(f"COPY ({query}) TO '{run['file']}' (FORMAT parquet, COMPRESSION zstd)")
print(time.monotonic() - started)
"""


@dataclass(frozen=True)
class Run:
    """Seconds of one run: of the statements with the export, and of the whole process."""

    engine: float
    process: float


class Bench:
    """A folder of its own for every run, on the machine's ordinary disk."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._root = Path(tempfile.mkdtemp(prefix="querytask-bench-"))
        self._number = 0

    def worker(self, statements: list[str]) -> Run:
        """The worker, from the start of its process to its end."""
        root = self._fresh()
        asked = _assignment(";\n".join(statements))
        attempt = root / "task" / "1"
        for directory in (attempt, root / "spill"):
            directory.mkdir(parents=True)
        (attempt / contract.ASSIGNMENT_FILE).write_bytes(contract.dump(asked))
        command = [
            sys.executable,
            "-m",
            "querytask_worker",
            "--attempt",
            "1",
            "--task-dir",
            str(root / "task"),
        ]
        command += ["--data-dir", str(self._data), "--spill-dir", str(root / "spill")]
        seconds, _ = _timed([*command, "--termination-log", str(root / "termination")], b"")
        outcome = contract.load(Outcome, (attempt / contract.OUTCOME_FILE).read_bytes())
        if outcome.exit_code:
            raise RuntimeError(f"the worker must complete, not {outcome.error}")
        measured = outcome.statistics
        return Run((measured.engine_seconds or 0) + (measured.export_seconds or 0), seconds)

    def bare(self, statements: list[str]) -> Run:
        """Bare DuckDB in a process of its own."""
        allowed = limits(_assignment(""), {})
        run = {
            "data": str(self._data),
            "statements": statements,
            "threads": allowed.threads,
            "memory": allowed.engine_bytes,
            "file": str(self._fresh() / "out.parquet"),
        }
        seconds, output = _timed([sys.executable, "-c", BARE], json.dumps(run).encode())
        return Run(float(output.split()[-1]), seconds)  # before it DuckDB may have drawn its progress

    def close(self) -> None:
        shutil.rmtree(self._root)

    def _fresh(self) -> Path:
        self._number += 1
        path = self._root / str(self._number)
        path.mkdir()
        return path


def _assignment(sql: str) -> Assignment:
    return Assignment(
        namespace="bench",
        name="bench",
        uid="bench",
        attempt=1,
        sql=sql,
        timeout_seconds=600,
        retention_seconds=600,
        memory_bytes=4 * GIB,
        cpu_millis=1000 * (os.cpu_count() or 1),
        spill_bytes=8 * GIB,
        export=Export("Parquet", "Zstd", "out.parquet"),
    )


def _timed(command: list[str], text: bytes) -> tuple[float, bytes]:
    started = time.monotonic()
    ran = subprocess.run(command, input=text, capture_output=True, check=False)
    seconds = time.monotonic() - started
    if ran.returncode:
        raise RuntimeError(f"{command[:4]} ended with {ran.returncode}: {ran.stderr.decode()[-2000:]}")
    return seconds, ran.stdout
