"""Who is let into the API: real tokens of a real API server, over TLS."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.harness import ControlPlane
from tests.controlplane.conftest import new_namespace
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts, ApiProcess
from tests.controlplane.kit.waiting import until

ANY = "/api/v1/nothing-here"
"""A path behind the door, where nothing is."""


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, namespace_names: Iterator[str]) -> str:
    """A namespace for this module's accounts."""
    return new_namespace(control_plane, namespace_names)


@pytest.fixture(scope="module")
def accounts(control_plane: ControlPlane, place: str) -> Accounts:
    return Accounts(control_plane, place)


@pytest.fixture(scope="module")
def server(
    control_plane: ControlPlane, place: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """An API without a history, whose words on callers are kept for one second."""
    folder = tmp_path_factory.mktemp("door")
    pki = api.certificates(folder / "pki")
    (folder / "exports").mkdir()
    (folder / "history").mkdir()
    environment = api.environment(
        control_plane,
        place,
        pki,
        history=folder / "history",
        exports=folder / "exports",
        authority=control_plane.folder / "pki" / "ca.crt",
        decision_seconds=1,
    )
    process = ApiProcess(environment, folder / "api.log", pki)
    try:
        until(lambda: process.port, 30, what="the API listens", told=process.story)
        yield process
    finally:
        process.stop()


def refused(server: ApiProcess, authorization: str | None) -> tuple[int, str, str]:
    """Status, code and challenge of the answer to a request with that header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    with server.client() as client:
        answer = client.get(ANY, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"], answer.headers.get("www-authenticate", "")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "Bearer a b",
        "Bearer é".encode(),
        "Bearer " + "x" * 20_000,
        "Bearer not-a-token",
        "Bearer a.b.c",
    ],
    ids=["none", "empty", "scheme", "basic", "two", "letters", "long", "unknown", "no-jwt"],
)
def test_without_a_token_of_the_cluster_nobody_is_let_in(server: ApiProcess, authorization):
    """401 in every case, with the challenge that RFC 6750 asks for."""
    assert refused(server, authorization) == (401, "Unauthenticated", 'Bearer realm="querytask"')


def test_a_token_of_the_cluster_opens(server: ApiProcess, accounts: Accounts):
    """What is not there is then a 404 of the same shape."""
    with server.client(accounts.make("anybody", ())) as client:
        answer = client.get(ANY)
    assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")
    assert answer.headers["x-request-id"] == answer.json()["instance"]


def test_a_token_for_somebody_else_does_not(server: ApiProcess, accounts: Accounts):
    """A token with another audience is for another program."""
    accounts.make("foreign", ())
    token = accounts.token("foreign", audiences=["https://elsewhere.example"])
    assert refused(server, f"Bearer {token}")[:2] == (401, "Unauthenticated")


def test_a_token_that_was_changed_does_not(server: ApiProcess, accounts: Accounts):
    """Its signature is no longer right."""
    head, _, signature = accounts.make("forged", ()).split(".")
    content = _part({"sub": "system:serviceaccount:kube-system:default"})
    assert refused(server, f"Bearer {head}.{content}.{signature}")[:2] == (401, "Unauthenticated")


@pytest.mark.parametrize(("age", "status"), [(0, 404), (7200, 401)], ids=["fresh", "expired"])
def test_an_expired_token_does_not(
    server: ApiProcess, accounts: Accounts, control_plane: ControlPlane, age, status
):
    """Signed by the cluster's own key, and right in everything but its time; a fresh one made in the same
    way is let in."""
    head, body, _ = accounts.make(f"aged-{age}", ()).split(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=="))
    older = {name: content[name] - age for name in ("iat", "nbf", "exp")}
    text = f"{head}.{_part(content | older)}"
    key = control_plane.folder / "pki" / "sa.key"
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
    token = f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert refused(server, f"Bearer {token}")[0] == status


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_health_needs_no_token_and_says_little(server: ApiProcess):
    """The only open door; without a history the API is alive, and not ready."""
    with server.client() as client:
        alive, ready = client.get("/healthz"), client.get("/healthz/ready")
    assert (alive.status_code, alive.json()["ok"]) == (200, True)
    assert (ready.status_code, ready.json()["checks"]) == (503, {"history": "the history cannot be read"})


def test_without_a_history_there_is_a_503(server: ApiProcess, accounts: Accounts):
    """For whoever has the right to ask; who has none is told that first."""
    for name, verbs, status, code in (
        ("no-history", ("get", "list"), 503, "StoreUnavailable"),
        ("no-right", (), 403, "Forbidden"),
    ):
        with server.client(accounts.make(name, verbs)) as client:
            answer = client.get("/api/v1/tasks")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_it_speaks_tls_and_nothing_else(server: ApiProcess):
    """A token sent in the clear would be anybody's."""
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.HTTPError):
        client.get(f"http://127.0.0.1:{server.port}/healthz")


def test_the_log_has_who_and_what_and_no_token(server: ApiProcess, accounts: Accounts, place: str):
    """Neither the right one nor a wrong one, from a header or from an address."""
    token = accounts.make("logged", ())
    with server.client(token) as client:
        client.get(ANY, params={"access_token": token}, headers={"X-Request-Id": "from-the-caller"})
    refused(server, f"Bearer {token}x")
    line = until(lambda: [item for item in server.requests() if item["request"] == "from-the-caller"])[0]
    assert (line["principal"], line["method"], line["path"], line["status"]) == (
        f"system:serviceaccount:{place}:logged",
        "GET",
        ANY,
        404,
    )
    assert token not in server.log.read_text()
    assert token.split(".")[2] not in server.log.read_text()


def test_without_the_api_server_nobody_is_let_in(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    """Who was let in before is let in for as long as a word is kept, and not longer; then 503 says when to
    come back."""
    with ControlPlane(tmp_path / "plane") as plane:
        pki = api.certificates(tmp_path / "pki")
        environment = api.environment(
            plane,
            "default",
            pki,
            history=tmp_path,
            exports=tmp_path,
            authority=plane.folder / "pki" / "ca.crt",
            decision_seconds=0.5,
            cluster_seconds=1,
        )
        process = ApiProcess(environment, tmp_path / "api.log", pki)
        try:
            until(lambda: process.port, 30, what="the API listens", told=process.story)
            with closing(process.client(Accounts(plane, "default").make("reader"))) as client:
                assert client.get(ANY).status_code == 404
                plane.stop_apiserver()
                until(lambda: client.get(ANY).status_code == 503, 10, what="nobody is let in")
                answer = client.get(ANY)
                assert (answer.json()["code"], answer.headers["retry-after"]) == ("ClusterUnavailable", "2")
                plane.start_apiserver()
                until(lambda: client.get(ANY).status_code == 404, 20, what="it is let in again")
        finally:
            assert process.stop() == 0
