"""The whole worker as a real process: its exit code, its files, its log, and what is left of it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from querytask_worker import contract
from querytask_worker.contract import MEMORY_ENV, Export, Manifest, Parameter
from querytask_worker.mailbox import Mailbox
from tests.worker.builders import GIB, PARQUET, WorkerProcess, await_value

MIB = 1024 * 1024
LONG = "SELECT count(*) FROM range(1000000) a JOIN range(1000000) b ON a.range * b.range % 7 = 3"
LONG_COPY = "SELECT hash(range) AS h, range AS r FROM range(3000000000)"


def told_once(process: WorkerProcess, code: int, reason: str) -> None:
    """The exit code, the outcome and the termination message say the same."""
    assert (process.code, process.outcome.exit_code, process.outcome.reason) == (code, code, reason), (
        process.stderr
    )
    assert process.termination.reason == reason
    assert process.outcome.finished_at >= process.outcome.started_at
    assert process.spilled == []
    assert "still registered" not in process.stderr


def test_a_query_ends_with_its_result_and_nothing_else(worker):
    """Its log says in every line whose it is, holds no value of a parameter, and is in the mailbox too."""
    secret = (Parameter("a", "VARCHAR", "hunter2"),)
    process = worker("SELECT range, $a AS a FROM range(1000)", parameters=secret, export=PARQUET).run()
    told_once(process, 0, "Completed")
    assert process.files == {"out.parquet", "_manifest.json"}
    assert process.manifest.rows == 1000
    assert (process.outcome.error, process.outcome.stop) == (None, None)
    assert process.outcome.statistics.peak_memory_bytes > 10_000_000
    assert process.stdout == b""
    lines = [json.loads(line) for line in process.stderr.splitlines()]
    assert {(line["task"], line["namespace"], line["attempt"]) for line in lines} == {
        ("late-flights", "analytics", 1)
    }
    assert "hunter2" not in process.stderr
    assert (process.directory / contract.LOG_FILE).read_text() == process.stderr


@pytest.mark.parametrize(
    ("sql", "fields", "code", "reason"),
    [
        ("SELECT error(repeat('ä', 100000))", {}, 10, "SqlError"),
        ("SELECT 1", {"export": Export("Orc", "Zstd", "x.orc")}, 70, "InternalError"),
    ],
)
def test_a_fault_is_told_by_its_class(worker, sql: str, fields: dict, code: int, reason: str):
    process = worker(sql, **{"export": PARQUET, **fields}).run()
    told_once(process, code, reason)
    assert process.error.code == reason
    assert (process.error.traceback is not None) == (code == 70)
    assert (process.manifest, process.files) == (None, set())
    assert Path(process.places.termination_log).stat().st_size <= contract.TERMINATION_BYTES
    assert len(process.error.message.encode()) <= 4096


def test_the_limits_of_the_container_bind(worker):
    """An allocation that DuckDB does not count fails in the engine, not in the kernel."""
    sql = "SELECT sum(x) FROM (SELECT unnest(range(100000000)) AS x)"
    told_once(worker(sql, environ={MEMORY_ENV: str(384 * MIB)}).run(), 30, "OutOfMemory")


# ----------------------------------------------------------------------------------- deadline and stop


def test_the_deadline_interrupts_and_is_told_as_a_timeout(worker):
    process = worker(LONG_COPY, export=PARQUET, timeout_seconds=1.5).run()
    told_once(process, 20, "Timeout")
    assert process.stopped.step == "Interrupted"
    assert "timeout of 1.5 s" in process.error.message
    assert (process.manifest, process.files) == (None, set())


def test_a_stop_interrupts_and_leaves_nothing(worker):
    process = worker("CREATE TEMP TABLE t AS SELECT 1; " + LONG_COPY, export=PARQUET).start()
    await_value((process.directory / "export.partial").exists)
    process.stop()
    process.finish()
    told_once(process, 21, "Stopped")
    assert process.stopped.step == "Interrupted"
    assert process.stopped.requested_at <= process.stopped.finished_at
    assert (process.manifest, process.files) == (None, set())


@pytest.mark.parametrize("moment", ["started", "engine", "registered"])
def test_a_stop_is_heard_at_every_moment_of_the_start(worker, moment: str):
    """Before DuckDB is imported, and while the statement is being planned, too.

    The supervisor stays small.
    """
    process = worker(LONG).start()
    if moment == "started":
        await_value(lambda: _catches(process.process.pid, signal.SIGTERM))
    if moment == "engine":
        process.engine_pid()
    if moment == "registered":
        process.await_progress("Running")
        assert "duckdb" not in Path(f"/proc/{process.process.pid}/maps").read_text()
        status = Path(f"/proc/{process.process.pid}/status").read_text()
        assert int(status.split("VmRSS:")[1].split()[0]) < 25 * 1024
    process.stop()
    process.finish()
    told_once(process, 21, "Stopped")
    assert process.stopped.step == "Interrupted"


def test_a_deadline_that_has_passed_before_the_start_is_a_timeout(worker):
    told_once(worker("SELECT 1", timeout_seconds=0.0).run(), 20, "Timeout")


FOLDING = "SELECT levenshtein(repeat('ab', 100000), repeat('ba', 100000))"
STUBBORN = [
    # name, statement, what is logged when it begins to be stubborn
    ("constant folding", FOLDING, "SELECT count(*), list(cells)"),
    ("unnest", "SELECT sum(x) FROM (SELECT unnest(range(300000000)) AS x)", "SELECT count(*), list(cells)"),
    ("hung read", "SELECT * FROM read_csv('pipe')", "DESCRIBE"),
]


@pytest.mark.parametrize(("sql", "begins"), [row[1:] for row in STUBBORN], ids=[row[0] for row in STUBBORN])
def test_what_ignores_interrupts_is_killed_after_the_grace(worker, tmp_path, sql: str, begins: str):
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / "pipe")
    process = worker(sql, memory_bytes=8 * GIB, stop_grace_seconds=0.3).start()
    process.await_log(begins)
    time.sleep(0.1)  # into the statement: what it does there cannot be seen from outside
    process.stop()
    begun = time.monotonic()
    process.finish()
    told_once(process, 21, "Stopped")
    assert process.stopped.step == "Killed"
    assert time.monotonic() - begun < 2
    assert process.files == set()


def test_a_timeout_is_over_within_5_seconds_of_the_deadline(worker):
    """With the grace that tasks get, for a statement that hears no interrupt."""
    process = worker(FOLDING, timeout_seconds=1.0).start()
    begun = time.monotonic()
    process.finish()
    told_once(process, 20, "Timeout")
    assert time.monotonic() - begun < 1 + 5


@pytest.fixture
def stubborn(worker):
    """A worker with another engine; see the module ``stubborn``."""

    def stubborn(name: str, **fields: object) -> WorkerProcess:
        root = str(Path(__file__).parents[3])
        paths = os.pathsep.join([str(Path(contract.__file__).parents[1]), root])
        process: WorkerProcess = worker("SELECT 1", environ={"PYTHONPATH": paths}, **fields)
        process.module = ("tests.worker.stubborn", name)
        return process

    return stubborn


def test_a_copy_at_the_highest_level_of_zstd_is_killed(stubborn):
    process = stubborn("zstd_22", stop_grace_seconds=0.3).start()
    await_value((process.directory / "export.partial").exists)
    time.sleep(0.3)  # into the compression of the first row group
    process.stop()
    begun = time.monotonic()
    process.finish()
    told_once(process, 21, "Stopped")
    assert process.stopped.step in ("Interrupted", "Killed")
    assert time.monotonic() - begun < 2
    assert process.files == set()


def test_a_peer_that_hangs_is_killed(stubborn):
    process = stubborn("hung_peer", stop_grace_seconds=0.3).start()
    process.await_log("the peer is silent")
    process.stop()
    process.finish()
    told_once(process, 21, "Stopped")
    assert process.stopped.step == "Killed"


# ---------------------------------------------------------------------------------------------- deaths


def test_an_engine_that_is_killed_gets_an_honest_outcome(worker):
    process = worker(LONG_COPY, export=PARQUET).start()
    await_value((process.directory / "export.partial").exists)
    os.kill(process.engine_pid(), signal.SIGKILL)
    process.finish()
    told_once(process, 70, "InternalError")
    assert "SIGKILL" in process.error.message
    assert process.files == set()


def test_a_crash_leaves_its_trace_in_outcome_and_log(stubborn):
    process = stubborn("segmentation_fault").run()
    told_once(process, 70, "InternalError")
    assert "Segmentation fault" in process.error.traceback
    assert "string_at" in (process.directory / contract.LOG_FILE).read_text()


def test_an_abort_for_want_of_memory_is_out_of_memory(stubborn):
    told_once(stubborn("bad_alloc").run(), 30, "OutOfMemory")


def test_an_engine_that_died_after_publishing_has_succeeded(stubborn):
    process = stubborn("published_then_died").run()
    told_once(process, 0, "Completed")
    assert process.manifest.attempt == 1


def test_much_output_blocks_nobody(stubborn):
    process = stubborn("talkative").run()
    told_once(process, 70, "InternalError")
    assert len((process.directory / contract.LOG_FILE).read_bytes()) <= 64 * 1024


def test_a_supervisor_that_fails_leaves_no_engine_behind(stubborn):
    process = stubborn("garbled").start()
    pid = process.engine_pid()
    process.finish()
    told_once(process, 70, "InternalError")
    assert "JSONDecodeError" in process.error.message
    await_value(lambda: not _alive(pid))


def test_without_its_supervisor_the_engine_ends(worker):
    process = worker(LONG).start()
    pid = process.engine_pid()
    process.await_progress("Running")
    process.process.kill()
    process.finish()
    await_value(lambda: not _alive(pid))


# ------------------------------------------------------------------------------- attempts and restarts


def test_a_task_that_has_its_result_runs_nothing_again(worker):
    """Neither the same attempt, whose file stays, nor another, which leaves none."""
    worker("SELECT 1 AS a", export=PARQUET).run()
    again = worker("SELECT error('it ran')", export=PARQUET).run()
    told_once(again, 0, "Completed")
    assert again.files == {"out.parquet", "_manifest.json"}
    second = worker("SELECT error('it ran')", attempt=2, export=PARQUET).run()
    told_once(second, 0, "Completed")
    assert (second.files, second.manifest.attempt) == (set(), 1)


def test_another_attempt_that_publishes_first_is_the_result(worker, tmp_path):
    """The loser removes its own file and has completed all the same."""
    process = worker("SELECT sleep_ms(1000) AS a", attempt=2, export=PARQUET).start()
    process.await_progress("Running")
    (tmp_path / "task" / "1").mkdir()
    first = Mailbox(str(tmp_path / "task"), 1)
    assert first.publish(Manifest("analytics", "late-flights", "3f0c", 1, "s", "p", "e", "sha", "1.5.5", 7))
    process.finish()
    told_once(process, 0, "Completed")
    assert (process.manifest.attempt, process.manifest.rows, process.files) == (1, 7, set())


def test_what_a_crashed_run_of_the_same_attempt_left_is_cleaned_up(worker, tmp_path):
    process = worker("SELECT foo", export=PARQUET)
    (tmp_path / "task" / "1").mkdir(parents=True)
    (tmp_path / "spill" / "duckdb").mkdir(parents=True)
    for name in ("export.partial", "out.parquet", "_manifest.json", "_outcome.json.partial"):
        (tmp_path / "task" / "1" / name).write_text("left over")
    (tmp_path / "spill" / "duckdb" / "duckdb_temp_storage-0.tmp").write_text("left over")
    process.run()
    told_once(process, 10, "SqlError")
    assert process.files == set()


def test_an_assignment_that_cannot_be_read_is_an_internal_error(tmp_path):
    process = WorkerProcess(tmp_path, dataclasses.replace(_any_assignment(), attempt=1))
    (tmp_path / "task" / "1").mkdir(parents=True)
    process.places = dataclasses.replace(_places(tmp_path))
    process.directory = tmp_path / "task" / "1"
    (process.directory / contract.ASSIGNMENT_FILE).write_text('{"namespace": "n"}')
    code = subprocess.run(
        [sys.executable, *process._command()],
        env={**os.environ, "PYTHONPATH": str(Path(contract.__file__).parents[1])},
        capture_output=True,
        check=False,
    ).returncode
    assert (code, process.outcome.reason, process.termination.reason) == (
        70,
        "InternalError",
        "InternalError",
    )
    assert "assignment" in process.error.message


def test_without_a_task_directory_the_termination_message_still_tells(tmp_path):
    where = _places(tmp_path)
    command = ["-m", "querytask_worker", "--attempt", "3", "--task-dir", str(tmp_path / "nowhere")]
    ran = subprocess.run(
        [sys.executable, *command, "--termination-log", where.termination_log],
        env={**os.environ, "PYTHONPATH": str(Path(contract.__file__).parents[1])},
        capture_output=True,
        check=False,
    )
    told = contract.load(contract.Outcome, Path(where.termination_log).read_bytes())
    assert (ran.returncode, told.exit_code, told.attempt) == (70, 70, 3)


def test_progress_is_told_while_it_runs(worker):
    """It only rises, from the statements that prepare to the query."""
    query = "SELECT count(*) FROM t WHERE md5(repeat(range::VARCHAR, 150)) LIKE 'abc%'"
    process = worker(f"CREATE TEMP TABLE t AS FROM range(8000000); {query}").start()
    path = process.directory / contract.PROGRESS_FILE
    first = await_value(lambda: path.exists() and json.loads(path.read_text()))
    later = await_value(lambda: json.loads(path.read_text()).get("percent"))
    assert first["step"] in ("Starting", "Running")
    assert 0 < later <= 99
    await_value(lambda: json.loads(path.read_text()).get("percent", 0) > 50)
    process.stop()
    process.finish()


# -------------------------------------------------------------------------------------------- as pid 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a process id namespace takes root")
def test_as_pid_1_it_hears_a_stop_and_buries_orphans(worker, tmp_path):
    """In a process id namespace of its own, as in a container: an orphan becomes pid 1's child and must not
    stay a zombie.
    """
    process = worker(LONG).start()
    process.stop()
    process.finish()
    script = (
        "import os, sys\n"
        "if os.fork() == 0:\n"  # a child of what becomes the worker, with a child of its own that it leaves
        "    if os.fork() == 0:\n"
        "        os._exit(0)\n"
        "    os._exit(0)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        sys.executable,
        "-c",
        script,
        *process._command(),
    ]
    environ = {**os.environ, "PYTHONPATH": str(Path(contract.__file__).parents[1])}
    outer = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE)
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    inner = int(await_value(lambda: children.read_text().split())[0])
    process.await_progress("Running")
    grandchildren = Path(f"/proc/{inner}/task/{inner}/children")
    await_value(lambda: len(grandchildren.read_text().split()) == 1)  # the engine, and no zombie
    os.kill(inner, signal.SIGTERM)
    outer.communicate(timeout=20)
    assert (outer.returncode, process.outcome.reason) == (21, "Stopped")


def _any_assignment() -> contract.Assignment:
    from tests.worker.builders import assignment

    return assignment()


def _places(root: Path):
    from tests.worker.builders import places

    return places(root)


def _catches(pid: int, number: signal.Signals) -> bool:
    mask = Path(f"/proc/{pid}/status").read_text().split("SigCgt:")[1].split()[0]
    return bool(int(mask, 16) & (1 << (number - 1)))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
