"""A history of any size, filled with straight SQL: for the benchmarks that ask it.

The rows are made by the database itself from their number, so that a million takes a minute and every run
meets the same ones: 200 owners, names of 5,000 families, 50,000 SQL texts with words of every rarity, some
ties in every order, and the moves of as many changes as a history keeps.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from querytask.adapters.store import open_history, placing, rows, sqlite

NAMESPACE = "analytics"
OWNERS, FAMILIES, TEXTS = 200, 5000, 50_000
FIRST_SECOND = 1_700_000_000
_AT_ONCE = 50_000

_UID = """printf('%08x-%04x-4000-8000-%012x', (n * 2654435761) % 4294967296, n % 65536, n)"""
_CREATED = f"({FIRST_SECOND} + n / 3) * 1000"
_NUMBERS = (
    """WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end)"""
)
_PHASE = """CASE WHEN n % 100 < 80 THEN 'Succeeded' WHEN n % 100 < 90 THEN 'Failed'
    WHEN n % 100 < 95 THEN 'Cancelled' WHEN n % 100 < 99 THEN 'Deleted' WHEN n % 200 = 99 THEN 'Running'
    ELSE 'Queued' END"""
_TASKS = f"""{_NUMBERS}, shaped AS (
    SELECT n, {_UID} AS uid, {_CREATED} AS created, {_PHASE} AS phase, (n * 7919) % 3600 AS took FROM numbers)
INSERT INTO tasks (uid, namespace, name, owner, task_type, phase, phase_since, reason, message, attempt,
    priority, created_at, queued_at, started_at, completed_at, updated_at, execution_seconds,
    object_deleted_at, error_category, error_code, error_message, error_retryable, sql_hash, parameters,
    sources, resources, spec, metadata, statistics, place, version, moved, duration, ended, export_status)
SELECT uid, '{NAMESPACE}', printf('family-%04d-%07d', (n * 31) % {FAMILIES}, n),
    printf('owner-%03d', (n * n) % {OWNERS}), 'query', phase, created, 'Completed',
    'the query has ended', 1, 0, created, created, created + 1000,
    CASE WHEN phase IN ('Running', 'Queued') THEN NULL ELSE created + took * 1000 END, created + took * 1000,
    CASE WHEN phase IN ('Succeeded', 'Failed') THEN took / 10.0 END,
    CASE WHEN phase NOT IN ('Running', 'Queued') THEN created + 7200000 END,
    CASE WHEN phase = 'Failed' THEN 'User' END, CASE WHEN phase = 'Failed' THEN 'SqlError' END,
    CASE WHEN phase = 'Failed' THEN 'no such column' END, CASE WHEN phase = 'Failed' THEN 0 END,
    (SELECT hash FROM numbered WHERE number = n % :texts),
    '[]', '["flights"]', '{{"cpu":"1","memory":"1Gi"}}', '{{"priority":0,"timeout":"1h"}}',
    '{{"labels":{{"team":"data","app":"reports"}}}}', '{{"engineSeconds":"1.5","peakMemoryBytes":1048576}}',
    created * {placing.PLACES} + n % 3, n + 1, n + 1,
    CASE WHEN phase IN ('Succeeded', 'Failed') THEN took / 10.0 ELSE -1 END,
    CASE WHEN phase IN ('Running', 'Queued') THEN -1 ELSE created + took * 1000 END,
    CASE WHEN phase <> 'Succeeded' THEN 'NotApplicable' WHEN n % 7 = 0 THEN 'Available'
        WHEN n % 7 = 1 THEN 'Deleted' ELSE 'Expired' END
FROM shaped"""
_PARTS = (
    f"""{_NUMBERS} INSERT INTO results (uid, rows, columns, preview, truncated)
    SELECT {_UID}, n % 1000, '[{{"name":"carrier","type":"VARCHAR"}}]', '["[\\"UA\\",12]","[\\"AA\\",15]"]', 0
    FROM numbers WHERE n % 100 < 80""",
    f"""{_NUMBERS} INSERT INTO exports
    (uid, attempt, state, path, format, bytes, rows, sha256, files, expires_at)
    SELECT {_UID}, 1, CASE n % 7 WHEN 0 THEN 'Available' WHEN 1 THEN 'Deleted' ELSE 'Expired' END,
    'analytics/late.parquet', 'Parquet', n, n % 1000, hex(zeroblob(32)), '[]', {_CREATED} + 86400000
    FROM numbers WHERE n % 100 < 80""",
    f"""{_NUMBERS} INSERT INTO attempts (uid, attempt, pod_name, started_at, message, statistics)
    SELECT {_UID}, 1, 'qt-' || {_UID} || '-1', {_CREATED}, '', '{{}}' FROM numbers""",
    f"""{_NUMBERS}, steps(phase, reason) AS (VALUES ('Queued', 'WaitingForSlot'), ('Running', 'Started'),
    ('Ended', 'Completed')) INSERT INTO transitions (uid, attempt, phase, reason, message, at, source)
    SELECT {_UID}, 1, phase, reason, '', {_CREATED}, 'reconcile' FROM numbers, steps""",
)
_MOVED = f"""FROM numbers CROSS JOIN tasks INDEXED BY ix_tasks_updated
    ON version = (n * 7919) % :newest + 1 AND namespace = '{NAMESPACE}'"""
_MOVES = f"""{_NUMBERS} INSERT INTO moves (namespace, until_version, kind, key, place, since_version)
    SELECT namespace, :newest - {placing.KEPT_CHANGES} + n, kind, key, place, since FROM (
    SELECT n, namespace, place, 'updated' AS kind, version - 1 AS key, version - 1 AS since {_MOVED}
    UNION ALL SELECT n, namespace, place, 'duration', -1, 1 {_MOVED} WHERE n % 4 = 0
    UNION ALL SELECT n, namespace, place, 'finished', -1, 1 {_MOVED} WHERE n % 4 = 0)"""


def text(number: int) -> str:
    """A text of the history: words that stand in all, in one of 10, of 1,000, and in this one alone."""
    return (
        f"SELECT carrier, count(*) AS late FROM 'flights/region_{number % 10}.parquet'"
        f" WHERE dep_delay > {number % 60} AND airport_{number % 1000} IS NOT NULL"
        f" AND customer = 'customer_{number}' GROUP BY ALL"
    )


def build(directory: Path, tasks: int) -> None:
    """Make a history of that many tasks in ``directory``, which has none."""
    began = time.monotonic()
    asyncio.run(_make(directory))
    connection = sqlite.driver().connect(str(directory / sqlite.FILE_NAME), isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-500000")
        connection.execute("BEGIN")
        _texts(connection, tasks)
        for first in range(0, tasks, _AT_ONCE):
            part = {"first": first, "end": min(first + _AT_ONCE, tasks)}
            connection.execute(_TASKS, part | {"texts": min(TEXTS, tasks)})
            for statement in _PARTS:
                connection.execute(statement, part)
        connection.execute("INSERT INTO versions VALUES (?, ?)", (NAMESPACE, tasks))
        changes = min(placing.KEPT_CHANGES, tasks) if tasks > placing.KEPT_CHANGES else 0
        connection.execute(_MOVES, {"first": 1, "end": changes + 1, "newest": tasks})
        connection.execute("DROP TABLE temp.numbered")
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    size = (directory / sqlite.FILE_NAME).stat().st_size / 1e6
    print(
        f"a history of {tasks:,} tasks: {size:.0f} MB, made in {time.monotonic() - began:.0f} s", flush=True
    )


async def _make(directory: Path) -> None:
    await (await open_history(directory)).close()


def _texts(connection: Any, tasks: int) -> None:
    connection.execute("CREATE TEMP TABLE numbered (number INTEGER PRIMARY KEY, hash TEXT)")
    for number in range(min(TEXTS, tasks)):
        row = rows.of_text(text(number))
        connection.execute("INSERT INTO queries VALUES (:hash, :sql, :normal_hash)", row)
        connection.execute("INSERT INTO numbered VALUES (?, ?)", (number, row["hash"]))
