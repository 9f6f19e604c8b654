"""What the API says of a thousand tasks in all states does not depend on the operator: not while it is away,
and not when it has started again. Of a history in a file as of one on a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from querytask.adapters.store import Store, open_database, open_history
from querytask.names import DELETED, Phase
from querytask.web.words import Status
from tests.component.store import builders
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until
from tests.kit import postgres

PAST = 960
GRACE_SECONDS = 300
"""How long the one that does not stop may go on: longer than the test takes."""
ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, DELETED)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the history is; empty for a file."""
    if request.param == "sqlite":
        yield ""
        return
    with postgres.Server() as server, postgres.database(server) as name:
        yield server.url(name)


async def fill(directory: Path, url: str, namespace: str) -> None:
    """Tasks of long ago, whose objects are gone."""
    store = await (open_database(url) if url else open_history(directory))
    await asyncio.gather(*(past(store, namespace, number) for number in range(PAST)))
    await store.close()


async def past(store: Store, namespace: str, number: int) -> None:
    """One of them; the number decides how it ended, and what became of its file."""
    phase = ENDS[number % len(ENDS)]
    succeeded = phase is Phase.SUCCEEDED
    task = builders.task(
        f"past-{number:04}",
        phase,
        namespace=namespace,
        owner=f"owner-{number % 7}",
        created_at=builders.at(number),
        started_at=builders.at(number + 1),
        completed_at=builders.at(number + 5),
        execution_seconds=4.0,
        object_deleted_at=builders.at(number + 9),
        result=builders.result() if succeeded else None,
    )
    state = ("Expired", "Deleted", "NotApplicable")[number % 3]
    export = builders.export(state=state, removed_at=builders.at(number + 9))
    await store.record(task, builders.attempt(), export if succeeded else None)


def live(site: Site) -> None:
    """Tasks of now: ended in each way, running, waiting, and one that is cancelled and does not stop."""
    for number in range(10):
        site.submit("succeed", name=f"done-{number}", export={"format": "CSV"} if number % 2 else None)
        site.submit("fail code=10 reason=SqlError", name=f"wrong-{number}")
    for number in range(10):
        site.reaches(f"done-{number}", "Succeeded")
        site.reaches(f"wrong-{number}", "Failed")
    for number in range(5):
        site.submit("hang" if number else "stubborn", name=f"runs-{number}")
        site.reaches(f"runs-{number}", "Running")
    for number in range(15):
        site.submit("succeed", name=f"waits-{number}")
        site.reaches(f"waits-{number}", "Queued")
    for number in range(5):
        site.cancel(f"waits-{number}")
        site.reaches(f"waits-{number}", "Cancelled")
    site.cancel("runs-0")
    site.reaches("runs-0", "Cancelling")


def told(client: httpx.Client) -> dict[str, Any]:
    """All that a list says of each task, by its uid."""
    found: dict[str, Any] = {}
    cursor: dict[str, Any] = {}
    while True:
        answer = client.get("/api/v1/tasks", params={"limit": 300} | cursor)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for item in page["items"]:
            assert item["uid"] not in found
            found[item["uid"]] = item
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def looked_at(client: httpx.Client, uid: str) -> dict[str, Any]:
    """All that is said of one task by itself, refusals, too."""
    found: dict[str, Any] = {}
    for part in ("", "/events", "/attempts", "/preview"):
        answer = client.get(f"/api/v1/tasks/{uid}{part}")
        told = answer.json()
        if answer.status_code != 200:
            del told["instance"]  # the request's own id
        found[part] = (answer.status_code, told)
    return found


def settled(client: httpx.Client) -> dict[str, Any]:
    """The same, once the operator has written what it had to write of the ends."""
    last: list[dict[str, Any]] = [{}, told(client)]

    def still() -> bool:
        last[:] = [last[1], told(client)]
        return last[0] == last[1]

    until(still, what="nothing changes any more")
    return last[1]


def test_a_restart_changes_nothing_that_is_told(sites: Any, url: str, tmp_path: Path):
    """Every field of every task is the same before, meanwhile and after."""
    site: Site = sites(database=url, max_running=5, stop_grace_seconds=GRACE_SECONDS)
    asyncio.run(fill(site.history_dir, url, site.namespace))
    operator = site.operator()
    live(site)
    with api.serving(site, tmp_path) as process:
        token = Accounts(site.plane, site.namespace).make("restart")
        with process.client(token) as client:
            before = settled(client)
            assert len(before) == PAST + 40
            past = {item["status"]: uid for uid, item in before.items() if uid.startswith("past-")}
            now = {item["status"]: uid for uid, item in before.items() if not uid.startswith("past-")}
            assert {*past, *now} == set(Status)
            single = {uid: looked_at(client, uid) for uid in (*past.values(), *now.values())}
            assert {found[""][0] for found in single.values()} == {200}
            stats = client.get("/api/v1/stats").json()["by_status"]
            operator.stop()
            assert told(client) == before
            assert {uid: looked_at(client, uid) for uid in single} == single
            site.operator()
            after = settled(client)
            assert {uid: item for uid, item in after.items() if item != before[uid]} == {}
            assert {uid: looked_at(client, uid) for uid in single} == single
            assert client.get("/api/v1/stats").json()["by_status"] == stats
