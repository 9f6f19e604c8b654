"""How fast a worker stops: ``python -m benchmarks.worker_interrupt [--rounds 20] [--process-rounds 5]``.

First inside an engine: from the interrupt to the return of an ordinary statement, at moments spread over its
run. Then whole worker processes, from SIGTERM to the end of the process, which is later than the end of the
engine; the same for statements that hear no interrupt, with the grace that tasks get. The baseline is the
engine's own: the statements run for a minute or more when nobody stops them.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.bounds import percentile, report
from querytask_worker import contract, database
from querytask_worker.contract import Assignment, Export, Outcome
from querytask_worker.execution import Execution
from querytask_worker.faults import Stopped
from querytask_worker.log import Log
from querytask_worker.pool import ConnectionPool
from querytask_worker.registry import Registry

GIB = 1024**3
ORDINARY = {
    "scan": "SELECT * FROM range(20000000000) WHERE hash(range) = 1",
    "join": "SELECT count(*) FROM range(1000000) a JOIN range(1000000) b ON a.range * b.range % 7 = 3",
    "hash join": "SELECT count(*) FROM range(20000000000) a JOIN range(5000000) b ON hash(a.range) = b.range",
    "sort": "SELECT max(x) FROM (SELECT hash(range) AS x FROM range(200000000) ORDER BY x)",
    "aggregate": "SELECT count(*) FROM (SELECT hash(range) % 20000000 FROM range(2000000000) GROUP BY ALL)",
    "window": "SELECT max(s) FROM (SELECT sum(range) OVER (ORDER BY hash(range)) AS s FROM range(100000000))",
}
COPIED = "SELECT hash(range) AS h, range AS r, md5(range::VARCHAR) AS m FROM range(3000000000)"
# While the table of so large a build side is finished, one task of the engine goes on for seconds.
STUBBORN = {
    "large hash join": "SELECT count(*) FROM range(60000000) a JOIN range(60000000) b USING (range)",
    "constant folding": "SELECT levenshtein(repeat('ab', 100000), repeat('ba', 100000))",
    "unnest": "SELECT sum(x) FROM (SELECT unnest(range(300000000)) AS x)",
}
FIRST_MOMENT, LAST_MOMENT = 0.02, 1.5
"""Seconds into a statement, between which the interrupts are spread."""
STUBBORN_MOMENTS = (0.1, 0.6, 1.6, 2.0)


def moments(rounds: int) -> list[float]:
    """When to interrupt: evenly spread, so that planning and every phase of running is met."""
    return [
        FIRST_MOMENT + (LAST_MOMENT - FIRST_MOMENT) * number / max(1, rounds - 1) for number in range(rounds)
    ]


def interrupt(statement: str, moment: float, spill: Path) -> float:
    """Seconds from the interrupt to the statement's return."""
    log = Log(lambda line: None)
    execution = Execution(ConnectionPool(database.connect, log), Registry(log), log)
    settings = f"SET threads = 2; SET memory_limit = '2GB'; SET temp_directory = '{spill}'"
    execution.script("bench", settings, {})
    returned: list[float] = []

    def run() -> None:
        try:
            execution.run("bench", statement)
        except Stopped:
            returned.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(moment)
    asked = time.monotonic()
    execution.stop("bench")
    thread.join()
    execution.close()
    if not returned:
        raise RuntimeError(f"the statement must still run after {moment} s, and did not: {statement}")
    return max(0.0, returned[0] - asked)


def stop(statement: str, moment: float, export: Export | None) -> tuple[float, Outcome]:
    """Seconds from SIGTERM to the end of the worker process, ``moment`` seconds after its query began; and
    its outcome.
    """
    with tempfile.TemporaryDirectory(prefix="querytask-bench-") as temporary:
        root = Path(temporary)
        attempt = root / "task" / "1"
        for directory in (attempt, root / "data", root / "spill"):
            directory.mkdir(parents=True)
        asked = Assignment(
            "bench", "bench", "bench", 1, statement, 600, 600, 8 * GIB, 2000, 8 * GIB, export=export
        )
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
        command += ["--data-dir", str(root / "data"), "--spill-dir", str(root / "spill")]
        command += ["--termination-log", str(root / "termination")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not (attempt / contract.PROGRESS_FILE).exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moment)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait()
        seconds = time.monotonic() - started
        return seconds, contract.load(Outcome, (attempt / contract.OUTCOME_FILE).read_bytes())


def row(name: str, seconds: list[float], steps: str = "") -> None:
    found = " ".join(f"{percentile(seconds, share):8.3f}" for share in (0.5, 0.99, 1.0))
    print(f"{name:<28} {len(seconds):>4} {found}  {steps}", flush=True)


def interrupts(rounds: int) -> list[float]:
    """All times of ordinary statements inside an engine, told as a table."""
    print(f"{'interrupt to return':<28} {'runs':>4} {'p50 s':>8} {'p99 s':>8} {'max s':>8}")
    found: list[float] = []
    with tempfile.TemporaryDirectory(prefix="querytask-bench-") as spill:
        target = f"{spill}/copy.parquet"
        copy = f"COPY ({COPIED}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
        for name, statement in {**ORDINARY, "copy": copy}.items():
            seconds = [interrupt(statement, moment, Path(spill)) for moment in moments(rounds)]
            row(name, seconds)
            found += seconds
    return found


def stops(rounds: int) -> list[float]:
    """All times of ordinary statements in whole worker processes, told as a table."""
    print(f"{'SIGTERM to the process end':<28} {'runs':>4} {'p50 s':>8} {'p99 s':>8} {'max s':>8}  steps")
    found: list[float] = []
    exports: dict[str, tuple[str, Export | None]] = {name: (sql, None) for name, sql in ORDINARY.items()}
    exports["copy"] = (COPIED, Export("Parquet", "Zstd", "out.parquet"))
    for name, (statement, export) in exports.items():
        runs = [stop(statement, moment, export) for moment in moments(rounds)]
        row(name, [seconds for seconds, _ in runs], _steps([outcome for _, outcome in runs]))
        found += [seconds for seconds, _ in runs]
    return found


def stubborn() -> list[float]:
    """The times of statements that hear no interrupt, told as a table."""
    found: list[float] = []
    for name, statement in STUBBORN.items():
        runs = [stop(statement, moment, None) for moment in STUBBORN_MOMENTS]
        row(name, [seconds for seconds, _ in runs], _steps([outcome for _, outcome in runs]))
        found += [seconds for seconds, _ in runs]
    return found


def _steps(outcomes: list[Outcome]) -> str:
    steps = [outcome.stop.step if outcome.stop else outcome.reason for outcome in outcomes]
    return ", ".join(f"{steps.count(step)} {step}" for step in sorted(set(steps)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--process-rounds", type=int, default=8)
    options = parser.parse_args()
    inside, whole, killed = interrupts(options.rounds), stops(options.process_rounds), stubborn()
    kept = [
        report("worker_interrupt_p99_seconds", percentile(inside, 0.99)),
        report("worker_stop_p99_seconds", percentile(whole, 0.99)),
        report("worker_stubborn_seconds", max(killed)),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
