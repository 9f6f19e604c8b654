"""Makes finished tasks as a long-lived installation has them: objects with the status of their end, rows in
the history, and directories with a manifest and an exported file on the exports volume.

What status and rows hold, the operator's own code says; only the time that all this would take is saved.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from benchmarks.plane import CREATORS, Installation, task
from querytask import names
from querytask.adapters.store import Store, open_history
from querytask.api import parse
from querytask.core.decide import decide
from querytask.core.observed import Mailbox, Memory, Observed
from querytask.core.podstate import PodState, Terminated
from querytask.runtime import recording
from querytask.settings import Settings
from querytask_worker import contract
from querytask_worker.contract import Column, File, Manifest, Preview, Statistics
from tests.controlplane.kit.client import Json

CONTENT = b"carrier,late\nUA,6856\nEV,6320\n"
SQL = (
    "SELECT carrier, count(*) AS late FROM 'flights/flights.parquet' WHERE dep_delay > 60 GROUP BY ALL -- {}"
)


async def make(place: Installation, count: int) -> None:
    """Make ``count`` tasks that have succeeded within the last day."""
    print(f"making {count} finished tasks (usually {count / 60:.0f} s)", flush=True)
    bodies = [
        task(
            f"task-{number}", sql=SQL.format(number), export={"format": "CSV", "compression": "Uncompressed"}
        )
        for number in range(count)
    ]
    made = await place.create(names.TASK_PLURAL, bodies)
    store = await open_history(place.history)
    try:
        waiting = iter(made)
        await asyncio.gather(*(_finish(place, store, waiting) for _ in range(CREATORS)))
    finally:
        await store.close()


async def _finish(place: Installation, store: Store, waiting: Iterator[Json]) -> None:
    settings = place.settings()
    for raw in waiting:
        observed, now = _observed(raw), dt.datetime.now(dt.UTC)
        assert observed.mailbox.manifest is not None
        _directory(place, observed.mailbox.manifest)
        await _end(place, store, raw, observed, settings, now)


async def _end(
    place: Installation, store: Store, raw: Json, observed: Observed, settings: Settings, now: dt.datetime
) -> None:
    plan = decide(observed, now, settings)
    step = recording.step(raw, observed, plan)
    await store.record(step.task, step.attempt, step.export, step.transitions(now))
    path = place.path(names.TASK_PLURAL, raw["metadata"]["name"]) + "/status"
    await place.client.call("PATCH", path, {"status": plan.status.document()}, seconds=60)


def _observed(raw: Json) -> Observed:
    found = parse.task(raw)
    uid, created = found.metadata.uid, found.metadata.creation_timestamp
    assert created is not None
    manifest = _manifest(found.metadata.namespace, found.metadata.name, uid, created)
    pod: dict[str, Any] = {
        "name": names.pod_name(uid, 1),
        "uid": uid,
        "owner_uid": uid,
        "attempt": 1,
        "created_at": created,
    }
    ended = Terminated(0, "Completed", "", created)
    return Observed(
        task=found,
        pods=(PodState(**pod, phase="Succeeded", node="node-1", started_at=created, terminated=ended),),
        mailbox=Mailbox(manifest=manifest),
        memory=Memory(attempt=1, granted_at=created, first_granted_at=created, queued_at=created),
    )


def _manifest(namespace: str, name: str, uid: str, at: dt.datetime) -> Manifest:
    rows = tuple(json.dumps([f"carrier {number}", number]) for number in range(16))
    return Manifest(
        namespace=namespace,
        name=name,
        uid=uid,
        attempt=1,
        started_at=contract.timestamp(at),
        published_at=contract.timestamp(at),
        expires_at=contract.timestamp(at + dt.timedelta(days=7)),
        sql_sha256="0" * 64,
        duckdb_version="1.5.5",
        rows=16,
        columns=(Column("carrier", "VARCHAR"), Column("late", "BIGINT")),
        preview=Preview(rows, False),
        format="CSV",
        compression="Uncompressed",
        files=(File("late.csv", len(CONTENT), 16, hashlib.sha256(CONTENT).hexdigest()),),
        statistics=Statistics(0.2, 0.1, 0.02, 50 * 2**20, 0),
    )


def _directory(place: Installation, manifest: Manifest) -> None:
    folder = place.exports / names.export_directory(manifest.namespace, manifest.uid)
    attempt = folder / str(manifest.attempt)
    attempt.mkdir(parents=True)
    (attempt / manifest.files[0].name).write_bytes(CONTENT)
    own = attempt / contract.MANIFEST_FILE
    own.write_bytes(contract.dump(manifest))
    (folder / contract.MANIFEST_FILE).hardlink_to(own)
