"""Every request on the page of examples is sent, and answered as the page says.

On a history with one finished task, beside a cluster with one that waits; no operator runs, so that nothing
changes between two requests. An answer may have more fields than the page shows, and ``…`` stands for any
value.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.harness import ControlPlane
from querytask import names
from querytask.adapters.store import open_history
from querytask.web import application, description
from querytask_worker import contract
from tests.component.store import builders
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rest-api-examples.md"
NAMESPACE, UID = "analytics", "0d7c1a52-6f0b-4f6e-9a3e-3f1c5b8a2d11"
CONTENT = b"carrier,late\nUA,18\n"
SQL = "SELECT carrier, count(*) AS late FROM 'flights/flights.parquet' WHERE dep_delay > 60 GROUP BY ALL"
ANY = "…"


@dataclass(frozen=True)
class Example:
    """A request of the page, and its answer."""

    request: str
    body: str
    status: int
    answer: str


def examples() -> list[Example]:
    """The pairs of blocks, in the order of the page."""
    blocks = re.findall(r"```http\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found = []
    for asked, told in zip(blocks[::2], blocks[1::2], strict=True):
        request, _, body = asked.partition("\n\n")
        head, _, answer = told.partition("\n\n")
        found.append(Example(request.strip(), body.strip(), int(head.split()[1]), answer.strip()))
    return found


FILE = contract.File("late.csv", len(CONTENT), 1, hashlib.sha256(CONTENT).hexdigest())
COLUMNS = (contract.Column("carrier", "VARCHAR"), contract.Column("late", "BIGINT"))
PREVIEW = contract.Preview(('["UA",18]',))
EXPIRES = builders.at(10**9)
TASK = builders.task(
    UID,
    "Succeeded",
    name="late-flights",
    owner="data-team",
    sql=SQL,
    sources=("flights",),
    reason="Completed",
    message="1 rows",
    attempt=1,
    queued_at=builders.at(0),
    started_at=builders.at(2),
    completed_at=builders.at(5),
    execution_seconds=3.0,
    object_deleted_at=builders.at(60),
    result=builders.result(rows=1, columns=COLUMNS, preview=PREVIEW),
)
ATTEMPT = builders.attempt(
    pod_name=names.pod_name(UID, 1),
    node="node-1",
    granted_at=builders.at(1),
    started_at=builders.at(2),
    finished_at=builders.at(5),
    reason="Completed",
    exit_code=0,
)
EXPORT = builders.export(
    path=f"{NAMESPACE}/{UID}/1/late.csv",
    format="CSV",
    compression="Uncompressed",
    bytes=FILE.bytes,
    rows=1,
    sha256=FILE.sha256,
    files=(FILE,),
    expires_at=EXPIRES,
)
STEPS = (
    builders.step("Queued", "PodPending", at=builders.at(1), source="reconcile"),
    builders.step("Running", "Started", at=builders.at(2), source="reconcile"),
    builders.step("Succeeded", "Completed", at=builders.at(5), source="mailbox"),
)
MANIFEST = contract.Manifest(
    namespace=NAMESPACE,
    name="late-flights",
    uid=UID,
    attempt=1,
    started_at=contract.timestamp(builders.at(2)),
    published_at=contract.timestamp(builders.at(5)),
    expires_at=contract.timestamp(EXPIRES),
    sql_sha256=hashlib.sha256(SQL.encode()).hexdigest(),
    duckdb_version="v1.5.5",
    rows=1,
    columns=COLUMNS,
    preview=PREVIEW,
    format="CSV",
    compression="Uncompressed",
    files=(FILE,),
)


async def fill(folder: Path) -> None:
    """One task that has succeeded, with its steps, its result and its file."""
    store = await open_history(folder / "history")
    await store.record(TASK, ATTEMPT, EXPORT, STEPS)
    await store.close()
    directory = folder / "exports" / NAMESPACE / UID
    (directory / "1").mkdir(parents=True)
    (directory / "1" / "late.csv").write_bytes(CONTENT)
    (directory / "1" / "_worker.log").write_text("the query is prepared\nthe file is published\n")
    (directory / "_manifest.json").write_bytes(contract.dump(MANIFEST))


@pytest.fixture(scope="module")
def client(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A caller with every right on tasks."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("history", "exports"):
        (folder / name).mkdir()
    asyncio.run(fill(folder))
    control_plane.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    accounts = Accounts(control_plane, NAMESPACE)
    task = {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": {"name": "too-long"},
        "spec": {"sql": "SELECT 1"},
    }
    path = f"/apis/{names.API_VERSION}/namespaces/{NAMESPACE}/{names.TASK_PLURAL}"
    control_plane.api.call("POST", path, task)
    pki = api.certificates(folder / "pki")
    environment = api.environment(
        control_plane,
        NAMESPACE,
        pki,
        history=folder / "history",
        exports=folder / "exports",
        authority=control_plane.folder / "pki" / "ca.crt",
        operator_metrics_url="",
    )
    process = api.ApiProcess(environment, folder / "api.log", pki)
    try:
        with process.wait_ready().client(accounts.make("alice", api.WRITE, pods=True)) as made:
            yield made
    finally:
        assert process.stop() == 0


def send(client: httpx.Client, example: Example) -> tuple[int, str]:
    """The status and the body of the answer; of a stream, its first event."""
    line, *headers = example.request.splitlines()
    method, _, path = line.partition(" ")
    options: dict[str, Any] = {"headers": dict(item.split(": ", 1) for item in headers)}
    if example.body:
        options["content"] = example.body
    with client.stream(method, path, **options) as answer:
        if not answer.headers["content-type"].startswith("text/event-stream"):
            return answer.status_code, answer.read().decode()
        told: list[str] = []
        for part in answer.iter_lines():
            told.append(part)
            if part.startswith("data: "):
                break
        return answer.status_code, "\n".join(told)


@pytest.mark.parametrize("example", examples(), ids=lambda item: item.request.splitlines()[0])
def test_an_example(client: httpx.Client, example: Example):
    """The status, and every field that the page shows."""
    status, text = send(client, example)
    assert status == example.status, text
    if example.answer.startswith("{"):
        # An ellipsis that stands for more fields says what is allowed anyway.
        compare(json.loads(re.sub(r",\s*…\s*(?=[}\]])", "", example.answer)), json.loads(text), "answer")
    else:
        pattern = ".*".join(re.escape(part) for part in example.answer.split(ANY))
        assert re.fullmatch(pattern, text.strip(), re.DOTALL), text


def compare(shown: Any, found: Any, place: str) -> None:
    """Fail unless all that is shown is there."""
    if shown == ANY:
        return
    if isinstance(shown, dict):
        assert isinstance(found, dict), place
        for key, value in shown.items():
            assert key in found, f"{place}.{key} is not there"
            compare(value, found[key], f"{place}.{key}")
    elif isinstance(shown, list):
        assert isinstance(found, list), place
        assert len(found) == len(shown), f"{place}: {found}"
        for number, value in enumerate(shown):
            compare(value, found[number], f"{place}[{number}]")
    else:
        assert shown == found, f"{place}: {found}"


def test_every_call_has_its_example():
    """And the first is how to stop a task."""
    paths = description.document(application.routes())["paths"]
    wanted = {(method.upper(), path) for path, calls in paths.items() for method in calls}
    patterns = {(method, path): re.sub(r"\\{id\\}", "[^/]+", re.escape(path)) for method, path in wanted}
    found = []
    for example in examples():
        method, _, target = example.request.splitlines()[0].partition(" ")
        path = target.partition("?")[0]
        fits = [key for key, pattern in patterns.items() if key[0] == method and re.fullmatch(pattern, path)]
        found.append(min(fits, key=lambda key: "{" in key[1]))
    assert set(found) == wanted
    assert found[0] == ("POST", "/api/v1/tasks/{id}/cancel")
