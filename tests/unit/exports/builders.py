"""Messages of a worker with defaults that do not matter, and the paths that they go to."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

from querytask_worker import contract
from querytask_worker.contract import Assignment, File, Manifest, Outcome, Progress

NAMESPACE, UID = "analytics", "0c8f2f3e-7d1c-4c7f-9f5e-1a2b3c4d5e6f"
T0 = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    """A moment after ``T0``."""
    return T0 + dt.timedelta(seconds=seconds)


def text(seconds: float) -> str:
    """The same as messages carry it."""
    return contract.timestamp(at(seconds))


def assignment(**fields: Any) -> Assignment:
    defaults: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": "late-flights",
        "uid": UID,
        "attempt": 1,
        "sql": "SELECT 'é'",
        "timeout_seconds": 1800.0,
        "retention_seconds": 604800.0,
        "memory_bytes": 2**30,
        "cpu_millis": 1000,
        "spill_bytes": 2**32,
    }
    return Assignment(**defaults | fields)


def manifest(**fields: Any) -> Manifest:
    defaults: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": "late-flights",
        "uid": UID,
        "attempt": 1,
        "started_at": text(0),
        "published_at": text(1),
        "expires_at": text(3600),
        "sql_sha256": "b" * 64,
        "duckdb_version": "1.5.5",
        "rows": 16,
        "format": "Parquet",
        "compression": "Zstd",
        "files": (File("late.parquet", 1024, 16, "a" * 64),),
    }
    return Manifest(**defaults | fields)


def outcome(**fields: Any) -> Outcome:
    defaults: dict[str, Any] = {
        "attempt": 1,
        "exit_code": 0,
        "reason": "Completed",
        "started_at": text(0),
        "finished_at": text(1),
    }
    return Outcome(**defaults | fields)


def progress(**fields: Any) -> Progress:
    defaults: dict[str, Any] = {"attempt": 1, "step": "Running", "percent": 40, "updated_at": text(1)}
    return Progress(**defaults | fields)


def task_directory(root: Path, uid: str = UID, namespace: str = NAMESPACE) -> Path:
    return root / namespace / uid


def put(path: Path, message: Any) -> Path:
    """Write a message, or bytes as they are, to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(message if isinstance(message, bytes) else contract.dump(message))
    return path


def age(directory: Path, moment: dt.datetime) -> None:
    """Let everything in ``directory`` have changed last at ``moment``."""
    for path in [*directory.rglob("*"), directory]:
        os.utime(path, (moment.timestamp(), moment.timestamp()), follow_symlinks=False)
