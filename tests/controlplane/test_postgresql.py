"""The whole installation on a PostgreSQL database: operator and API as processes, a real server that is
stopped, started and cut off while they work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from querytask.adapters.store import Store, open_database, open_history
from querytask.names import DELETED, Phase
from tests.component.store import builders
from tests.controlplane.conftest import Sites
from tests.controlplane.kit import api, script
from tests.controlplane.kit.api import TASKS, Accounts
from tests.controlplane.kit.observer import condition
from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import always, until
from tests.kit.postgres import PASSWORD, Server, database, suspended


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests here, which is running when a test begins."""
    with Server() as made:
        yield made


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """A new database on it."""
    with database(server) as found:
        yield found


@pytest.fixture
def url(server: Server, name: str) -> str:
    return server.url(name)


@pytest.fixture
def site(sites: Sites, url: str, tmp_path: Path) -> Iterator[Site]:
    """An installation with two slots and no operator; no password is in any log of it."""
    made = sites(database=url, max_running=2)
    yield made
    for log in tmp_path.rglob("*.log"):
        text = log.read_text("utf-8", "replace")
        assert PASSWORD not in text
        assert PASSWORD.replace("/", "%2F").replace("+", "%2B") not in text
    assert list(made.history_dir.iterdir()) == []


@contextlib.contextmanager
def away(server: Server, how: signal.Signals = signal.SIGQUIT) -> Iterator[None]:
    """The server is killed, as a machine that fails, and is there again in the end."""
    server.stop(how)
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def silent(server: Server) -> Iterator[None]:
    """The server keeps its connections, takes new ones, and answers nobody, as one whose disk hangs."""
    with suspended(server.processes()):
        yield


def checks(operator: OperatorProcess, name: str, words: str) -> Callable[[], bool]:
    """Whether the operator is not ready, for that reason."""

    def look() -> bool:
        if operator.port is None:
            return False
        status, body = operator.probe("readyz")
        return status == 503 and words in body.get("checks", {}).get(name, "")

    return look


def test_tasks_run_to_their_ends_though_the_operator_is_killed(site: Site) -> None:
    """The history is the same before and after, nothing is started twice, and the operator says which
    database it is, and nothing of a backup that nobody makes."""
    operator = site.operator()
    done = site.submit("succeed", name="done", export={})
    failed = site.submit("fail code=10 reason=SqlError", name="failed")
    site.succeeds("done")
    site.reaches("failed", "Failed")
    runs = site.submit("succeed after=4", name="runs")
    hangs = site.submit("hang", name="hangs")
    for task in (runs, hangs):
        site.reaches(task["metadata"]["name"], "Running")
        site.row(task, "Running")
    # Only now: of three that were created within one second, any two may have the slots.
    waits = site.submit("succeed", name="waits")
    site.reaches("waits", "Queued", reason="WaitingForSlot")
    site.row(waits, "Queued")
    site.row(done, "Succeeded")
    site.row(failed, "Failed")
    before = site.history.tasks()
    operator.kill()
    assert site.history.tasks() == before

    operator = site.operator()
    site.succeeds("runs")
    site.cancel("hangs")
    site.ends("hangs", "Cancelled", "CancelRequested")
    site.succeeds("waits")
    for task, phase in ((runs, "Succeeded"), (hangs, "Cancelled"), (waits, "Succeeded")):
        site.row(task, phase)
        assert len(site.history.attempts(task["metadata"]["uid"])) == 1
    uids = {task["metadata"]["uid"] for task in (done, failed)}
    settled = {row["uid"]: row for row in site.history.tasks()}
    assert [row for row in before if row["uid"] in uids] == [
        settled[row["uid"]] for row in before if row["uid"] in uids
    ]
    assert len(site.kubelet.played) == 5
    assert operator.said(r"The history is in postgresql://querytask@127\.0\.0\.1:\d+/test_\d+$")
    exposition = operator.exposition()
    for gauge in ("history_backup_timestamp_seconds", "history_damaged_files", 'volume="history"'):
        assert gauge not in exposition


@pytest.mark.parametrize("weather", [away, silent])
def test_a_server_that_is_away_is_waited_for(
    site: Site,
    server: Server,
    tmp_path: Path,
    weather: Callable[[Server], contextlib.AbstractContextManager[None]],
) -> None:
    """What runs ends and says that it is not recorded, a cancellation works, nothing new starts, and the API
    answers 503; when the server is there again, everything follows by itself."""
    operator = site.operator()
    with api.serving(site, tmp_path) as process:
        token = Accounts(site.plane, site.namespace).make("reader")
        with process.client(token) as client:
            ends, stops = site.submit("succeed after=5", name="ends"), site.submit("hang", name="stops")
            site.reaches("ends", "Running")
            site.reaches("stops", "Running")
            site.row(ends, "Running")
            assert client.get(TASKS).status_code == 200
            with weather(server):
                answer = client.get(TASKS)
                assert (answer.status_code, answer.json()["code"]) == (503, "StoreUnavailable")
                assert "Retry-After" in answer.headers
                until(
                    checks(operator, "history", "cannot be reached"),
                    60,
                    what="it is not ready",
                    told=operator.story,
                )
                assert operator.probe("healthz")[0] == 200
                site.succeeds("ends", timeout=90)
                assert condition(site.task("ends"), "Recorded")["status"] == "False"
                site.cancel("stops")
                site.ends("stops", "Cancelled", "CancelRequested", timeout=90)
                waits = site.submit("succeed", name="waits")
                site.reaches("waits", "Queued", timeout=90)
                always(
                    lambda: not site.observer.pods_of(waits["metadata"]["uid"]), 1.0, what="nothing starts"
                )
            site.succeeds("waits", timeout=40)
            until(operator.ready, 60, what="the operator is ready again", told=operator.story)
            for task, phase in ((ends, "Succeeded"), (stops, "Cancelled"), (waits, "Succeeded")):
                site.row(task, phase)
                assert len(site.history.attempts(task["metadata"]["uid"])) == 1
            for name in ("ends", "stops"):
                site.sees(
                    lambda name=name: condition(site.task(name), "Recorded").get("status") == "True",
                    f"{name} is recorded",
                )
            until(lambda: client.get(TASKS).status_code == 200, what="the API answers again")
            assert len(client.get(TASKS).json()["items"]) == 3
    assert operator.alive
    assert operator.said("The lock on the history is lost")
    assert operator.said("The lock on the history is held again")


def test_a_server_that_comes_later_is_waited_for(site: Site, server: Server, tmp_path: Path) -> None:
    """Operator and API start all the same, say once what they wait for, and are ready when it has come."""
    with away(server, signal.SIGINT):
        stopped = site.operator(ready=False)
        until(checks(stopped, "history", "cannot be reached"), 30, what="it waits", told=stopped.story)
        assert stopped.stop() == 0, stopped.story()
        operator = site.operator(ready=False)
        until(checks(operator, "history", "cannot be reached"), 30, what="it waits", told=operator.story)
        assert operator.probe("healthz")[0] == 200
        with api.serving(site, tmp_path, ready=False) as process:
            until(lambda: process.port is not None, 30, what="the API listens", told=process.story)
            always(lambda: not process.ready(), 2.5, what="the API is not ready")
            assert process.process.poll() is None
            server.start()
            process.wait_ready()
            operator.wait_ready()
            server.stop()
    said = [line["message"] for line in operator.said("^Waiting: ")]
    assert said
    assert len(said) < 6, said
    assert len([line for line in process.lines() if "Waiting for the history" in line["message"]]) < 6
    operator.wait_ready()


def test_a_second_operator_waits_for_the_database(site: Site, sites: Sites, url: str) -> None:
    """Whatever its namespace; it names the holder, and takes over when the first one is killed."""
    first = site.operator()
    other = sites(database=url)
    second = other.operator(ready=False, pod_name="other-0")
    until(checks(second, "history", "querytask-operator-0, since 2"), 30, what="it waits", told=second.story)
    first.kill()
    second.wait_ready()
    third = site.operator(ready=False)
    until(checks(third, "history", "another operator has the history"), 30, what="it waits", told=third.story)
    assert third.said("other-0")


def test_a_lock_that_was_lost_is_taken_again(site: Site, server: Server, name: str) -> None:
    """An administrator ends every session: the operator goes on by itself, and nothing runs twice."""
    operator = site.operator()
    task = site.submit("succeed after=3", name="runs")
    site.reaches("runs", "Running")
    site.row(task, "Running")
    assert server.end_sessions(name) > 1
    until(lambda: operator.said("held again"), 20, what="the lock is held again", told=operator.story)
    site.succeeds("runs")
    site.row(task, "Succeeded")
    site.submit("succeed", name="after")
    site.succeeds("after")
    until(operator.ready, 20, what="the operator is ready", told=operator.story)
    assert len(site.kubelet.played) == 2


def test_the_api_submits_once(site: Site, tmp_path: Path) -> None:
    """What the API writes of its own is in the same database: a key that comes again, and who has done it."""
    site.operator()
    token = Accounts(site.plane, site.namespace).make("author", api.WRITE)
    with api.serving(site, tmp_path) as process, process.client(token) as client:
        body, key = {"name": "once", "sql": script.sql("succeed")}, {"Idempotency-Key": "a-key-of-a-client"}
        answers = [client.post(TASKS, json=body, headers=key) for _ in range(2)]
        assert [answer.status_code < 300 for answer in answers] == [True, True]
        assert len({answer.json()["uid"] for answer in answers}) == 1
        site.succeeds("once")
        site.row(site.task("once"), "Succeeded")
        other = client.post(TASKS, json=body | {"name": "other"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "IdempotencyKeyReused")


# The same answers as with SQLite

ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, DELETED, Phase.RUNNING, Phase.QUEUED)
MANY = 120
QUESTIONS = (
    "",
    "?status=succeeded,failed&order_by=duration",
    "?state=error&order_by=updated&descending=false",
    "?owner=owner-3&count=true",
    "?name_prefix=task-past-01&order_by=name&descending=false",
    "?text=flights%20late*",
    "?text=%C3%A9t%C3%A9",
    "?export_status=available,expired&order_by=finished",
    "?created_since=2026-01-01T12:00:20Z&finished_until=2026-01-01T12:01:00Z&count=true",
    "?limit=7&offset=30",
    "?task_ids=past-0003,past-0011,nobody",
)


async def fill(store: Store, namespace: str) -> None:
    """Tasks of every kind, one after the other, so that both histories number their steps alike."""
    for number in range(MANY):
        phase = ENDS[number % len(ENDS)]
        ended, succeeded = phase not in (Phase.RUNNING, Phase.QUEUED), phase is Phase.SUCCEEDED
        task = builders.task(
            f"past-{number:04}",
            phase,
            namespace=namespace,
            owner=f"owner-{number % 7}",
            sql=f"SELECT {number % 5} AS lateness FROM flights -- Été {number}",
            created_at=builders.at(number),
            completed_at=builders.at(number + 5) if ended else None,
            execution_seconds=(number * 37 % 11) / 4 if ended else None,
            object_deleted_at=builders.at(number + 9),
            result=builders.result() if succeeded else None,
        )
        state = ("Expired", "Deleted", "Available")[number % 3]
        export = builders.export(state=state, removed_at=builders.at(number + 9) if number % 3 < 2 else None)
        steps = [builders.step(), builders.step(phase, "Completed" if succeeded else "Started")]
        await store.record(task, builders.attempt(), export if succeeded else None, steps)
    await store.close()


async def fill_both(directory: Path, url: str, namespace: str) -> None:
    """The same, at the same moment."""
    await fill(await open_history(directory, builders.Clock()), namespace)
    await fill(await open_database(url, builders.Clock()), namespace)


def told(client: httpx.Client, question: str) -> list[Any]:
    """The answers to a question, page after page, without the cursors themselves."""
    pages = []
    answer = client.get(f"{TASKS}{question}").json()
    while True:
        assert "items" in answer, answer
        cursor = answer.pop("next_cursor")
        pages.append({**answer, "previous_cursor": answer["previous_cursor"] is not None})
        if cursor is None or "offset" in question:
            return pages
        mark = "&" if question else "?"
        answer = client.get(f"{TASKS}{question}{mark}cursor={cursor}").json()


def test_the_api_says_the_same_on_both(sites: Sites, url: str, tmp_path: Path) -> None:
    """Lists with every filter and order, single tasks, their steps, attempts and rows, and the figures."""
    site: Site = sites()
    asyncio.run(fill_both(site.history_dir, url, site.namespace))
    token = Accounts(site.plane, site.namespace).make("reader")
    with contextlib.ExitStack() as stack:
        clients = []
        for folder, there in (("file", ""), ("database", url)):
            (tmp_path / folder).mkdir()
            process = stack.enter_context(api.serving(site, tmp_path / folder, history_url=there))
            clients.append(stack.enter_context(process.client(token)))
        file, base = clients
        assert [len(told(client, "?limit=7")) for client in clients] == [18, 18]
        for question in QUESTIONS:
            assert told(base, question) == told(file, question), question
            assert told(file, question)[0]["items"], question
        for number in range(len(ENDS) * 2):
            for part in ("", "/events", "/attempts", "/preview"):
                path = f"{TASKS}/past-{number:04}{part}"
                answers = [client.get(path) for client in clients]
                assert answers[0].status_code == answers[1].status_code, path
                bodies = [answer.json() | {"instance": None} for answer in answers]
                assert bodies[0] == bodies[1], path
        stats = [client.get("/api/v1/stats").json() | {"oldest_waiting_seconds": None} for client in clients]
        assert stats[0] == stats[1]
        assert stats[0]["total"] == MANY
