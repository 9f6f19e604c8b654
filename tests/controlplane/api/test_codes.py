"""Every code of a refusal is provoked once: by a server with narrow bounds, on a history that holds one task
of each kind. (``StoreUnavailable`` and ``ClusterUnavailable`` are in ``test_door``.)"""

from __future__ import annotations

import ast
import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.harness import ControlPlane
from querytask.adapters.store import open_history
from querytask.web.problems import CODES, Code
from querytask_worker.contract import Error
from tests.component.store import builders
from tests.controlplane.conftest import new_namespace
from tests.controlplane.kit import api
from tests.controlplane.kit.api import TASKS, Accounts, ApiProcess
from tests.controlplane.kit.waiting import until

Call = Callable[[httpx.Client], httpx.Response]


async def fill(directory: Path, namespace: str) -> None:
    """One task that runs, one that has failed, and two with an export: one that is there, one expired."""
    store = await open_history(directory)
    done: dict[str, Any] = {
        "namespace": namespace,
        "phase": "Succeeded",
        "completed_at": builders.at(9),
        "result": builders.result(),
    }
    error = Error("SqlError", "no such table", "User")
    await store.record(builders.task("running", "Running", namespace=namespace))
    await store.record(
        builders.task("failed", "Failed", namespace=namespace, completed_at=builders.at(9), error=error)
    )
    await store.record(builders.task("kept", **done), export=builders.export())
    await store.record(builders.task("gone", **done), export=builders.export(state="Expired"))
    await store.close()


@pytest.fixture(scope="module")
def place(
    control_plane: ControlPlane, namespace_names: Iterator[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ApiProcess, Accounts]]:
    """A server whose exports volume is not there."""
    namespace, folder = new_namespace(control_plane, namespace_names), tmp_path_factory.mktemp("codes")
    (folder / "history").mkdir()
    asyncio.run(fill(folder / "history", namespace))
    pki = api.certificates(folder / "pki")
    environment = api.environment(
        control_plane,
        namespace,
        pki,
        history=folder / "history",
        exports=folder / "no-such-volume",
        authority=control_plane.folder / "pki" / "ca.crt",
        api_body_seconds=0.6,
        api_max_body_bytes=4096,
        api_max_requests=2,
        api_max_waiting=1,
    )
    process = ApiProcess(environment, folder / "api.log", pki)
    try:
        yield process.wait_ready(), Accounts(control_plane, namespace)
    finally:
        assert process.stop() == 0


@pytest.fixture(scope="module")
def reader(place: tuple[ApiProcess, Accounts]) -> Iterator[httpx.Client]:
    server, accounts = place
    with server.client(accounts.make("codes", pods=True)) as client:
        yield client


def body(text: str, **headers: str) -> Call:
    """A POST of that text."""
    return lambda client: client.post(
        f"{TASKS}/query", content=text, headers={"Content-Type": "application/json"} | headers
    )


def get(path: str, **query: str) -> Call:
    return lambda client: client.get(path, params=query)


CALLS: list[tuple[Code, Call]] = [
    (Code.MALFORMED_REQUEST, body("{")),
    (Code.UNAUTHENTICATED, lambda client: client.get(TASKS, headers={"Authorization": "Bearer x"})),
    (Code.NOT_FOUND, get("/api/v1/nothing")),
    (Code.NOT_FOUND, get(f"{TASKS}/")),
    (Code.TASK_NOT_FOUND, get(f"{TASKS}/nobody")),
    (Code.TASK_NOT_FOUND, get(f"{TASKS}/elsewhere:task-running")),
    (Code.NOTHING_THERE, get(f"{TASKS}/failed/preview")),
    (Code.NOTHING_THERE, get(f"{TASKS}/running/logs")),
    (Code.METHOD_NOT_ALLOWED, lambda client: client.delete("/api/v1/stats")),
    (Code.NOT_YET, get(f"{TASKS}/running/export")),
    (Code.EXPORT_GONE, get(f"{TASKS}/gone/export")),
    (Code.EXPORTS_UNAVAILABLE, get(f"{TASKS}/kept/export")),
    (Code.BODY_TOO_LARGE, body(json.dumps({"text": "x" * 5000}))),
    (Code.UNSUPPORTED_MEDIA_TYPE, body("{}", **{"Content-Type": "text/plain"})),
    (Code.INVALID, body('{"limit": "many"}')),
    (Code.INVALID, body("[]")),
    (Code.INVALID, get(f"{TASKS}/running", wait="for ever")),
    (Code.INVALID, get(f"{TASKS}/running/logs", attempt="0")),
]
"""What provokes them, one request each."""


@pytest.mark.parametrize(("code", "call"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_code(reader: httpx.Client, code: Code, call: Call):
    """With its status, in the one shape, under an id that the log has."""
    answer = call(reader)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert (told["code"], answer.status_code) == (code, CODES[code].status)
    assert told["instance"] == answer.headers["x-request-id"]
    assert told["detail"]


def test_the_methods_of_a_path(reader: httpx.Client):
    """A 405 names them all."""
    assert reader.delete("/api/v1/stats").headers["allow"] == "GET"
    assert reader.delete(TASKS).headers["allow"] == "GET, POST"
    assert reader.put(f"{TASKS}/query").headers["allow"] == "POST"


def test_no_right_at_all(place: tuple[ApiProcess, Accounts]):
    """Of the cluster's making, and in its words."""
    server, accounts = place
    with server.client(accounts.make("codes-nothing", ())) as client:
        answer = client.get(TASKS)
    assert (answer.status_code, answer.json()["code"]) == (403, "Forbidden")
    assert "must have the right to list querytasks.querytask.dev" in answer.json()["detail"]


def test_too_many_at_one_time(place: tuple[ApiProcess, Accounts], reader: httpx.Client):
    """Of those who wait, and of one caller's requests; another caller is answered meanwhile."""
    server, accounts = place
    other = accounts.make("codes-other")
    with reader.stream("GET", "/api/v1/events"):
        waits = reader.get(f"{TASKS}/running", params={"wait": "5s"})
        assert (waits.status_code, waits.json()["code"]) == (429, "TooManyRequests")
        assert waits.headers["retry-after"] == "5"

        def look() -> tuple[httpx.Response, int] | tuple[()]:
            # Anew each time: on a busy machine a body's time may be over before anybody else has asked.
            with closing(raw(server, str(reader.headers["authorization"]), length=10)):
                answer = reader.get(TASKS)
                return (answer, client.get(TASKS).status_code) if answer.status_code == 429 else ()

        with server.client(other) as client:
            found = until(look)
        assert found
        answer, of_another = found
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("TooManyRequests", "1")
        assert of_another == 200
    until(lambda: reader.get(TASKS).status_code == 200)


def test_a_body_that_does_not_come(place: tuple[ApiProcess, Accounts], reader: httpx.Client):
    """408, after the time that a body has."""
    with closing(raw(place[0], str(reader.headers["authorization"]), length=10)) as wire:
        told = b""
        while part := wire.recv(65536):
            told += part
    assert told.startswith(b"HTTP/1.1 408")
    assert json.loads(told.partition(b"\r\n\r\n")[2])["code"] == "RequestTimeout"


def test_a_stop_ends_those_who_wait(
    control_plane: ControlPlane, namespace_names: Iterator[str], tmp_path: Path
):
    """A stream ends, a long poll is answered, and the process is gone long before their time is over."""
    namespace = new_namespace(control_plane, namespace_names)
    (tmp_path / "history").mkdir()
    asyncio.run(fill(tmp_path / "history", namespace))
    pki = api.certificates(tmp_path / "pki")
    environment = api.environment(
        control_plane,
        namespace,
        pki,
        history=tmp_path / "history",
        exports=tmp_path,
        authority=control_plane.folder / "pki" / "ca.crt",
        api_max_waiting=2,
    )
    process = ApiProcess(environment, tmp_path / "api.log", pki)
    try:
        client = process.wait_ready().client(Accounts(control_plane, namespace).make("stops"))
        answers: list[int] = []

        def wait() -> None:
            while (
                not answers or answers[-1] == 429
            ):  # whoever looks whether there is room takes it for a moment
                answers.append(client.get(f"{TASKS}/running", params={"wait": "50s"}).status_code)

        with client, client.stream("GET", "/api/v1/events") as stream:
            poll = threading.Thread(target=wait)
            poll.start()
            lines = stream.iter_lines()
            next(lines)
            third = f"{TASKS}/running?wait=0.01"
            until(lambda: client.get(third).status_code == 429, what="both wait")
            began = time.monotonic()
            process.process.terminate()
            assert list(lines) == [""]
            poll.join(10)
        assert (process.stop(), answers[-1]) == (0, 200)
        assert time.monotonic() - began < 8
    finally:
        process.stop()


def raw(server: ApiProcess, authorization: str, *, length: int) -> ssl.SSLSocket:
    """A connection on which a request was begun whose body does not come."""
    context = ssl.create_default_context(cafile=str(server.pki.authority))
    plain = socket.create_connection(("localhost", server.port or 0), timeout=10)
    wire = context.wrap_socket(plain, server_hostname="localhost")
    head = (
        f"POST {TASKS}/query HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    wire.sendall(head.encode() + b"{")
    return wire


HERE, COMPONENT = Path(__file__).parent, Path(__file__).parents[2] / "component" / "web"
ELSEWHERE: dict[Code, tuple[Path, str]] = {
    Code.FORBIDDEN: (HERE / "test_codes.py", "test_no_right_at_all"),
    Code.TOO_MANY_REQUESTS: (HERE / "test_codes.py", "test_too_many_at_one_time"),
    Code.REQUEST_TIMEOUT: (HERE / "test_codes.py", "test_a_body_that_does_not_come"),
    Code.STORE_UNAVAILABLE: (HERE / "test_door.py", "test_without_a_history_there_is_a_503"),
    Code.CLUSTER_UNAVAILABLE: (HERE / "test_door.py", "test_without_the_api_server_nobody_is_let_in"),
    Code.ALREADY_EXISTS: (HERE / "test_submitting.py", "test_a_whole_manifest_is_taken"),
    Code.KEY_REUSED: (HERE / "test_running_again.py", "test_running_again_is_once_for_a_key"),
    Code.TASK_FINISHED: (HERE / "test_cancelling.py", "test_a_running_task_is_cancelled_with_its_reason"),
    Code.QUERY_TOO_SLOW: (COMPONENT / "test_routes.py", "test_a_history_that_fails"),
    Code.CONFLICT: (COMPONENT / "test_routes.py", "test_a_history_that_fails"),
    Code.INTERNAL: (COMPONENT / "test_routes.py", "test_a_history_that_fails"),
    Code.OVERLOADED: (COMPONENT / "test_slow_clients.py", "test_too_many_connections_are_told_so"),
}
"""The tests that provoke what takes more than a request."""


def test_no_code_is_left_out():
    """Each is provoked by a call of the list, or by the test that is named for it."""
    assert sorted({code for code, _ in CALLS} | set(ELSEWHERE)) == sorted(Code)


@pytest.mark.parametrize("code", ELSEWHERE)
def test_what_is_provoked_elsewhere(code: Code):
    """The test is there and has the code in it as a value, not in a comment or a sentence."""
    path, name = ELSEWHERE[code]
    (found,) = (
        item
        for item in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == name
    )
    assert code in [item.value for item in ast.walk(found) if isinstance(item, ast.Constant)]
