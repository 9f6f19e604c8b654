"""The stream of changes of all tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx

from tests.controlplane.kit.api import Accounts, ApiProcess, uid_of
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site


def events_of(stream: Iterator[str]) -> Iterator[Json]:
    """The data of each event, with its id checked."""
    number = ""
    for line in stream:
        if line.startswith("id: "):
            number = line[4:]
        if line.startswith("data: "):
            found = json.loads(line[6:])
            assert str(found["id"]) == number.partition("-")[0]
            yield found


def test_the_stream_of_changes(shared: Site, reader: httpx.Client):
    """Every step as it comes; and again from where one was."""
    with reader.stream("GET", "/api/v1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        task = shared.submit("succeed", name="api-stream")
        seen = []
        for event in events_of(answer.iter_lines()):
            if event["uid"] == uid_of(task):
                seen.append(event)
            if event["status"] == "succeeded" and event["uid"] == uid_of(task):
                break
    assert [event["reason"] for event in seen][-1] == "Completed"
    headers = {"Last-Event-ID": str(seen[0]["id"])}
    with reader.stream("GET", "/api/v1/events", headers=headers) as answer:
        for event in events_of(answer.iter_lines()):
            if event["uid"] == uid_of(task):
                assert event == seen[1]
                break


def test_a_listener_that_loses_its_rights_is_sent_away(server: ApiProcess, accounts: Accounts, shared: Site):
    """At the next heartbeat."""
    with (
        server.client(accounts.make("api-listener")) as client,
        client.stream("GET", "/api/v1/events") as told,
    ):
        lines = told.iter_lines()
        next(lines)
        shared.plane.api.call(
            "DELETE",
            f"/apis/rbac.authorization.k8s.io/v1/namespaces/{shared.namespace}/rolebindings/api-listener",
        )
        assert all("data" not in line for line in lines if "api-listener" in line)
