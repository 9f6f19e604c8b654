"""The worker that no container runs: it leaves in the mailbox what the real one would, with the real one's
own code for the files, and computes nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

from querytask_worker import contract
from querytask_worker.contract import (
    Assignment,
    Column,
    Error,
    ExitCode,
    File,
    Manifest,
    Outcome,
    Preview,
    Progress,
    Statistics,
    Stop,
)
from querytask_worker.mailbox import Mailbox

COLUMNS = (Column("number", "INTEGER"), Column("text", "VARCHAR"))
STATISTICS = Statistics(0.05, 0.1, 0.02, 50 * 2**20, 0)
CATEGORIES = {
    ExitCode.SQL_ERROR: "User",
    ExitCode.SQL_NOT_ALLOWED: "User",
    ExitCode.PARAMETER_ERROR: "User",
    ExitCode.TIMEOUT: "Resource",
    ExitCode.OUT_OF_MEMORY: "Resource",
    ExitCode.SPILL_FULL: "Resource",
    ExitCode.EXPORT_VOLUME_FULL: "Resource",
    ExitCode.SOURCE_UNREACHABLE: "External",
}


def now() -> dt.datetime:
    """The wall clock: aware, UTC."""
    return dt.datetime.now(dt.UTC)


class ScriptedWorker:
    """One attempt at one task; ``task_dir`` is the task's directory as the host sees it."""

    def __init__(self, task_dir: Path, attempt: int) -> None:
        self.attempt = attempt
        self.directory = task_dir / str(attempt)
        self._mailbox = Mailbox(str(task_dir), attempt)
        self.assignment: Assignment | None = self._assignment()
        self.started_at = contract.timestamp(now())

    def start(self) -> Manifest | None:
        """The container has started; what is published already, by whichever attempt."""
        self.started_at = contract.timestamp(now())
        return self._mailbox.published()

    def progress(self, percent: int | None) -> None:
        """Tell how far the attempt has come."""
        step = Progress(self.attempt, "Running", percent, contract.timestamp(now()))
        self._mailbox.write_progress(step)

    def partial(self, size: int = 1000) -> Path:
        """Begin to write the export, and leave it unfinished."""
        path = self.directory / f"export{contract.PARTIAL_SUFFIX}"
        path.write_bytes(b"x" * size)
        return path

    def publish(self, rows: int, retention: float | None = None) -> bool:
        """Write the export and publish the manifest; false when another attempt has published."""
        assert self.assignment is not None
        export = self.assignment.export
        files = (self._export(export.file_name, rows),) if export is not None else ()
        return self._mailbox.publish(self._manifest(self.assignment, rows, files, retention))

    def end(self, code: int, message: str = "", *, position: str | None = None, stop: str = "") -> Outcome:
        """Write down how the attempt ended, as the supervisor does before it exits."""
        told = ExitCode(code)
        error = None
        if told is not ExitCode.COMPLETED:
            error = Error(told.reason, message or told.reason, CATEGORIES.get(told, "Internal"), position)
        finished = contract.timestamp(now())
        outcome = Outcome(
            self.attempt,
            code,
            told.reason,
            self.started_at,
            finished,
            error,
            Stop(stop, finished, finished) if stop else None,
            STATISTICS,
        )
        if told is not ExitCode.COMPLETED and self.directory.is_dir():
            self._mailbox.remove_result_files()
        if self.directory.is_dir():
            self._mailbox.write_outcome(outcome)
        return outcome

    def tear(self, name: str) -> None:
        """Leave half of a message where a whole one should be."""
        (self.directory / name).write_bytes(b'{"attempt": 1, "exitC')

    def _assignment(self) -> Assignment | None:
        try:
            return self._mailbox.assignment()
        except (OSError, ValueError):
            return None

    def _export(self, name: str, rows: int) -> File:
        content = "".join(f"{number},row {number}\n" for number in range(rows)).encode()
        (self.directory / name).write_bytes(content)
        return File(name, len(content), rows, hashlib.sha256(content).hexdigest())

    def _manifest(
        self, assignment: Assignment, rows: int, files: tuple[File, ...], retention: float | None
    ) -> Manifest:
        moment, kept = now(), assignment.retention_seconds if retention is None else retention
        shown = min(rows, assignment.preview_rows)
        preview = tuple(json.dumps([number, f"row {number}"]) for number in range(shown))
        return Manifest(
            namespace=assignment.namespace,
            name=assignment.name,
            uid=assignment.uid,
            attempt=self.attempt,
            started_at=self.started_at,
            published_at=contract.timestamp(moment),
            expires_at=contract.timestamp(moment + dt.timedelta(seconds=kept)),
            sql_sha256=hashlib.sha256(assignment.sql.encode()).hexdigest(),
            duckdb_version="scripted",
            rows=rows,
            columns=COLUMNS,
            preview=Preview(preview, shown < rows),
            format=assignment.export.format if assignment.export else None,
            compression=assignment.export.compression if assignment.export else None,
            files=files,
            statistics=STATISTICS,
            owner=assignment.owner,
        )
