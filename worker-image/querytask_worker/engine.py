"""The engine process: runs one assignment with DuckDB and tells its supervisor what became of it.

It is forked by the supervisor before DuckDB is imported, has resource limits of its own, and takes one order:
stop. What it tells are fragments (module ``channel``); the outcome is the supervisor's to write, because this
process may not live to do so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import resource
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import duckdb

from . import classify, database, export, parameters, policy, sources
from .contract import ExitCode, File, Manifest, Preview, Statistics, timestamp
from .execution import Execution
from .faults import Fault, Stopped
from .job import Job
from .log import Log
from .mailbox import tree_bytes
from .pool import ConnectionPool
from .query import Query, Result
from .registry import Registry
from .text import Piece

SAMPLE_SECONDS = 0.25
SWEEP_SECONDS = 60.0
STALE_SECONDS = 600.0

Tell = Callable[..., None]


class Engine:
    """Runs a job in the calling thread; ``stop`` may come from any other."""

    def __init__(self, job: Job, tell: Tell, log: Log) -> None:
        self._job = job
        self._tell = tell
        self._log = log
        self._task_id = f"{job.assignment.uid}/{job.assignment.attempt}"
        self.registry = Registry(log)
        self._pool = ConnectionPool(database.connect, log)
        self.execution = Execution(self._pool, self.registry, log)
        self._partial = os.path.realpath(job.mailbox.path(export.PARTIAL_NAME))
        self._statistics: dict[str, Any] = {}
        self._step = "Starting"
        self._query: Query | None = None
        self._done = threading.Event()

    def stop(self) -> None:
        """Interrupt what runs until it returns, and start nothing else."""
        self.execution.stop(self._task_id)

    def run(self) -> bool:
        """Run the job to its published result; False when another attempt had published.

        Raises ``Fault`` or ``Stopped``.
        """
        self.registry.start_sweep(SWEEP_SECONDS, STALE_SECONDS)
        sampler = threading.Thread(target=self._sample, name="sampler", daemon=True)
        sampler.start()
        try:
            return self._run()
        finally:
            self._done.set()
            self.execution.finish(self._task_id)
            sampler.join()
            self._measure(peak_memory_bytes=_peak_memory())

    def close(self) -> int:
        """The number of registry entries and connections that leaked, which is 0."""
        return self.execution.close()

    def _run(self) -> bool:
        self._query = query = self._prepare()
        self._enter("Running")
        self._measure(start_seconds=time.monotonic() - self._job.started_monotonic)
        started = time.monotonic()
        result = query.run()
        self._measure(engine_seconds=time.monotonic() - started)
        try:
            file, shown = self._export(query, result)
            self.execution.check(self._task_id)
            self._enter("Publishing")
            return self._job.mailbox.publish(self._manifest(result, file, shown))
        except OSError as error:
            raise classify.os_fault(error) from error

    def _prepare(self) -> Query:
        job, assignment = self._job, self._job.assignment
        if assignment.export is not None:
            export.check_name(assignment.export.file_name)
        sources.check(assignment.sources, job.places)
        path = self._partial if assignment.export is not None else None
        context = classify.Context(
            sql=assignment.sql,
            piece=Piece(assignment.sql, 0),
            prefix_bytes=len(assignment.sql.encode()) + 1,
            spill_dir=job.places.spill_dir,
            task_dir=job.places.task_dir,
        )
        try:
            database.prepare(self.execution, self._task_id, job.limits, job.places, path)
            with self.execution.interruptible_connection(
                self._task_id, "classify the statements"
            ) as connection:
                script = policy.read(connection, assignment.sql)
            used = frozenset().union(*script.parameters)
            bound = parameters.bind(self.execution, self._task_id, assignment.parameters, used)
        except (duckdb.Error, MemoryError) as error:
            raise classify.fault(error, context) from error
        return Query(self.execution, self._task_id, assignment, script, bound, context, self._partial)

    def _export(self, query: Query, result: Result) -> tuple[File | None, Preview]:
        """The file under its final name, and the first rows."""
        wanted = self._job.assignment.export
        if wanted is None:
            return None, query.preview(result)
        self._enter("Exporting")
        started = time.monotonic()
        sealing = export.Sealing(self._partial, lambda: self.execution.check(self._task_id))
        sealing.start()
        try:
            shown = query.preview(result)
        finally:
            sealing.join()
        file = sealing.finish(self._job.mailbox.path(wanted.file_name), result.rows)
        self._measure(export_seconds=time.monotonic() - started)
        return file, shown

    def _manifest(self, result: Result, file: File | None, shown: Preview) -> Manifest:
        assignment = self._job.assignment
        now = dt.datetime.now(dt.UTC)
        return Manifest(
            namespace=assignment.namespace,
            name=assignment.name,
            uid=assignment.uid,
            attempt=assignment.attempt,
            started_at=self._job.started_at,
            published_at=timestamp(now),
            expires_at=timestamp(now + dt.timedelta(seconds=assignment.retention_seconds)),
            sql_sha256=hashlib.sha256(assignment.sql.encode()).hexdigest(),
            duckdb_version=duckdb.__version__,
            rows=result.rows,
            columns=result.columns,
            preview=shown,
            format=assignment.export.format if assignment.export else None,
            compression=assignment.export.compression if assignment.export else None,
            files=(file,) if file else (),
            statistics=Statistics(**{**self._statistics, "peak_memory_bytes": _peak_memory()}),
            owner=assignment.owner,
        )

    def _enter(self, step: str) -> None:
        self._step = step
        self._tell(step=step, percent=None)

    def _measure(self, **statistics: Any) -> None:
        self._statistics.update(statistics)
        self._tell(statistics=statistics)

    def _sample(self) -> None:
        """Tell progress and the high-water mark of the spill, from a thread of its own."""
        percent, spilled = 0, 0
        while not self._done.wait(SAMPLE_SECONDS):
            now = tree_bytes(self._job.places.engine_spill)
            if now > spilled:
                spilled = now
                self._measure(spill_bytes=spilled)
            progress = self._query.percent() if self._query and self._step == "Running" else None
            if progress is not None and progress > percent:
                percent = progress
                self._tell(step="Running", percent=percent)


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def attempt(job: Job, tell: Tell, log: Log, orders: Callable[[Callable[[], None]], None]) -> None:
    """Run a job and tell its end: ``published``, ``stopped`` or ``fault``.

    ``orders`` is given what to call when a stop comes.
    """
    engine = Engine(job, tell, log)
    orders(engine.stop)
    try:
        tell(published=True, ours=engine.run())
    except Stopped:
        tell(stopped=True)
    except Fault as error:
        tell(fault=_told(error))
    except BaseException as error:
        tell(fault=_told(_internal(error)))
    engine.close()


def _internal(error: BaseException) -> Fault:
    if isinstance(error, MemoryError):
        return Fault(ExitCode.OUT_OF_MEMORY, "out of memory in the engine process")
    text = "".join(traceback.format_exception(error))
    return Fault(ExitCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}", traceback=text[-8000:])


def _told(error: Fault) -> dict[str, Any]:
    return {
        "code": int(error.code),
        "message": error.message,
        "position": error.position,
        "traceback": error.traceback,
    }
