"""Submitting through the API, once for a key, beside a real operator."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import uuid
from typing import Any

import httpx
import pytest
from pysqlite3 import dbapi2

from querytask import names
from querytask.web.problems import shown
from tests.controlplane.kit import script
from tests.controlplane.kit.api import KEY, TASKS, WRITE, Accounts, ApiProcess, refused
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


def named(site: Site, name: str) -> list[str]:
    """The uids of all tasks of that name that there ever were."""
    return [row["uid"] for row in site.history.rows("SELECT uid FROM tasks WHERE name = ?", name)]


def change(site: Site, statement: str, *values: Any) -> None:
    """Do to the API's tables what a crash would have left undone."""
    with contextlib.closing(dbapi2.connect(str(site.history_dir / "history.db"), timeout=5)) as connection:
        connection.execute(statement, values)
        connection.commit()


def test_a_query_is_run_and_answered(shared: Site, writer: httpx.Client):
    """With `wait` the first rows are in the answer; the owner is the caller."""
    answer = writer.post(TASKS, params={"wait": "20s"}, json={"sql": script.sql("succeed rows=3")})

    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["status"], found["rows"], found["preview"]["total_rows"]) == ("succeeded", 3, 3)
    assert answer.headers["location"] == f"{TASKS}/{found['uid']}"
    assert found["owner"] == f"system:serviceaccount:{shared.namespace}:api-writer"
    assert found["name"].startswith("query-")
    told = writer.get(answer.headers["location"]).json()
    # The container's end may be noted in between.
    assert told == {key: value for key, value in found.items() if key != "preview"} | {
        "updated_at": told["updated_at"]
    }


def test_without_waiting_the_answer_says_where_to_look(shared: Site, writer: httpx.Client):
    """202, and the task can be read at once."""
    body = {"sql": script.sql("succeed"), "name": "submitted", "user_id": "data-team"}
    answer = writer.post(TASKS, json=body)

    assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
    found = writer.get(answer.headers["location"])
    assert (found.status_code, found.json()["name"], found.json()["owner"]) == (200, "submitted", "data-team")
    assert answer.json()["preview"] is None
    shared.succeeds("submitted")


def test_a_wait_that_is_over_is_a_202(shared: Site, writer: httpx.Client):
    """With the state of that moment."""
    answer = writer.post(TASKS, params={"wait": "0.5s"}, json={"sql": script.sql("hang"), "name": "outlasts"})
    assert (answer.status_code, "retry-after" in answer.headers) == (202, True)
    assert 0.5 <= answer.elapsed.total_seconds() < 10
    shared.cancel("outlasts")
    shared.reaches("outlasts", "Cancelled")


def test_every_field_arrives(shared: Site, writer: httpx.Client):
    """In the API's spelling, as the object has it."""
    body = {
        "sql": script.sql("succeed"),
        "name": "spelled",
        "labels": {"team": "data"},
        "parameters": {"minutes": 60, "share": 0.5, "late": True, "who": "x", "days": [1, 2], "none": None},
        "sources": [],
        "export": {"format": "csv", "compression": "GZIP", "file_name": "delays", "retention": "2h"},
        "preview": {"rows": 5},
        "resources": {"cpu": 0.5, "memory": "256Mi", "spill": "64Mi"},
        "queue_timeout": "2h",
        "timeout": 90,
        "priority": 7,
        "retry": {"limit": 1, "backoff": "3s"},
        "ttl_after_finished": "1d",
    }
    assert writer.post(TASKS, json=body).status_code == 202
    found = shared.get(names.TASK_PLURAL, "spelled")
    assert found is not None
    assert found["metadata"]["labels"] == {"team": "data"}
    spec = found["spec"]
    assert spec["parameters"] == [
        {"name": "minutes", "type": "BIGINT", "value": "60"},
        {"name": "share", "type": "DOUBLE", "value": "0.5"},
        {"name": "late", "type": "BOOLEAN", "value": "true"},
        {"name": "who", "type": "VARCHAR", "value": "x"},
        {"name": "days", "type": "BIGINT[]", "values": ["1", "2"]},
        {"name": "none", "type": "VARCHAR"},
    ]
    assert spec["export"] == {
        "format": "CSV",
        "compression": "Gzip",
        "fileName": "delays",
        "retention": "2h",
    }
    assert spec["resources"] == {"cpu": "0.5", "memory": "256Mi", "spill": "64Mi"}
    assert (spec["queueTimeout"], spec["timeout"], spec["priority"]) == ("2h", 90, 7)
    assert (spec["retry"], spec["preview"]) == ({"limit": 1, "backoff": "3s"}, {"rows": 5})
    assert spec["ttlAfterFinished"] == "1d"


def manifest(**metadata: Any) -> Json:
    """A whole QueryTask with that metadata."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "QueryTask",
        "metadata": metadata,
        "spec": {"sql": "SELECT 1"},
    }


def test_a_whole_manifest_is_taken(shared: Site, writer: httpx.Client):
    """As `kubectl get -o json` has it; what the cluster had written is left out."""
    spec = {"sql": script.sql("succeed"), "owner": "somebody"}
    metadata = {"name": "manifest", "namespace": shared.namespace, "uid": "old", "resourceVersion": "1"}
    body = {"apiVersion": names.API_VERSION, "kind": "QueryTask", "metadata": metadata, "spec": spec}
    answer = writer.post(TASKS, json=body | {"status": {"phase": "Failed"}})

    assert (answer.status_code, answer.json()["owner"]) == (202, "somebody")
    shared.succeeds("manifest")
    assert refused(writer.post(TASKS, json=body)) == (409, "AlreadyExists")
    elsewhere = body | {"metadata": {"namespace": "elsewhere"}}
    assert writer.post(TASKS, json=elsewhere).json()["field"] == "metadata.namespace"


def held(body: Json, field: str) -> Any:
    """What a body has in a field, by its place in dots."""
    found: Any = body
    for part in () if field == "body" else field.split("."):
        found = found[int(part)] if isinstance(found, list) else found.get(part)
    return found


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"sql": "SELECT 1", "timeout": "soon"}, 422, "Invalid", "timeout"),
        ({"sql": "SELECT 1", "export": {"format": "xml"}}, 422, "Invalid", "export.format"),
        ({"sql": "SELECT 1", "export": {"file_name": "a/b"}}, 422, "Invalid", "export.file_name"),
        (
            {"sql": "SELECT 1", "parameters": [{"name": "a", "type": "integer", "value": "1"}]},
            422,
            "Invalid",
            "parameters.0.type",
        ),
        ({"sql": "SELECT 1", "parameters": {"a": [1, "x"]}}, 422, "Invalid", "parameters"),
        ({"sql": "SELECT 1", "resources": {"memory": "lots"}}, 422, "Invalid", "resources.memory"),
        ({"sql": ""}, 422, "Invalid", "sql"),
        ({"sql": "SELECT 1", "priority": 1_000_000_000}, 422, "Invalid", "priority"),
        ({"sql": "SELECT 1", "name": "Not A Name"}, 422, "Invalid", "name"),
        ({"sql": "SELECT 1", "image": "mine"}, 422, "Invalid", "image"),
        ({"sql": "SELECT 1", "owner": "a", "user_id": "b"}, 422, "Invalid", "body"),
        ({"name": "no-sql"}, 422, "Invalid", "sql"),
        ({"apiVersion": "batch/v1", "kind": "Job", "spec": {}}, 422, "Invalid", "apiVersion"),
        (
            {"apiVersion": names.API_VERSION, "kind": "QueryTask", "spec": {"sql": "SELECT 1", "image": "x"}},
            422,
            "Invalid",
            "spec.image",
        ),
        (
            {
                "apiVersion": names.API_VERSION,
                "kind": "QueryTask",
                "spec": {"sql": "SELECT 1", "timeout": "x"},
            },
            422,
            "Invalid",
            "spec.timeout",
        ),
        ({"sql": "SELECT 1", "labels": {"a team": "data"}}, 422, "Invalid", "labels"),
        ({"sql": "SELECT 1", "labels": {"team": "the data"}}, 422, "Invalid", "labels"),
        ({"sql": "SELECT 1", "labels": {"team": 1}}, 422, "Invalid", "labels.team"),
        (manifest(labels={"team": "the data"}), 422, "Invalid", "metadata.labels"),
        (manifest(labels=["team"]), 422, "Invalid", "metadata.labels"),
        (manifest(annotations={"a team": "data"}), 422, "Invalid", "metadata.annotations"),
        (manifest(name="Not A Name"), 422, "Invalid", "metadata.name"),
        (manifest(name=1), 422, "Invalid", "metadata.name"),
        (manifest(finalizers="none"), 422, "Invalid", "metadata.finalizers"),
    ],
)
def test_what_cannot_be_is_refused(writer: httpx.Client, body: Json, status: int, code: str, field: str):
    """With the field as the caller has written it, what it held, and a sentence."""
    answer = writer.post(TASKS, json=body)
    assert refused(answer) == (status, code)
    assert answer.json().get("field") == field, answer.text
    assert answer.json().get("value") == shown(held(body, field)), answer.text
    assert "Invalid value" not in answer.json()["detail"]


def test_who_may_only_read_submits_nothing(server: ApiProcess, accounts: Accounts, shared: Site):
    """403, and no row is written for the key."""
    with server.client(accounts.make("api-looker")) as client:
        answer = client.post(TASKS, json={"sql": "SELECT 1", "name": "never"}, headers={KEY: "looker"})
    assert refused(answer) == (403, "Forbidden")
    assert shared.get(names.TASK_PLURAL, "never") is None


def test_to_create_is_enough_to_submit(server: ApiProcess, accounts: Accounts, shared: Site):
    """Whoever may create QueryTasks and nothing else submits, and is told at once where the task is; not
    what has become of it, which is for those who may get it. No right to pods is asked for."""
    with server.client(accounts.make("api-creator", ("create",))) as client:
        body = {"sql": script.sql("succeed rows=2"), "name": "created-only"}
        headers = {KEY: str(uuid.uuid4())}
        answer = client.post(TASKS, params={"wait": "20s"}, json=body, headers=headers)
        assert answer.elapsed.total_seconds() < 10
        shared.succeeds("created-only")
        shared.row({"metadata": {"uid": answer.json()["uid"]}}, "Succeeded")
        again = client.post(TASKS, params={"wait": "20s"}, json=body, headers=headers)
        for found in (answer, again):
            told = found.json()
            assert (found.status_code, told["status"]) == (202, "queued")
            assert found.headers["location"] == f"{TASKS}/{answer.json()['uid']}"
            assert (told["uid"], told["sql"]) == (answer.json()["uid"], body["sql"])
            for hidden in (
                "preview",
                "result",
                "rows",
                "error",
                "export",
                "completed_at",
                "execution_seconds",
            ):
                assert told[hidden] is None, hidden
        assert refused(client.get(answer.headers["location"])) == (403, "Forbidden")


def test_to_get_the_one_task_is_enough_to_see_its_end(server: ApiProcess, accounts: Accounts, shared: Site):
    """The right by its name opens what the right to all of them does."""
    token = accounts.make("api-creator-of-one", ("create",))
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{shared.namespace}"
    rule = {"apiGroups": [names.GROUP], "resources": [names.TASK_PLURAL], "verbs": ["get"]}
    shared.plane.api.call(
        "PATCH",
        f"{root}/roles/api-creator-of-one",
        {"rules": [rule | {"verbs": ["create"]}, rule | {"resourceNames": ["created-and-got"]}]},
    )
    with server.client(token) as client:
        body = {"sql": script.sql("succeed rows=2"), "name": "created-and-got"}
        answer = client.post(TASKS, params={"wait": "20s"}, json=body)
    assert (answer.status_code, answer.json()["preview"]["total_rows"]) == (201, 2)


# once for a key


def test_a_key_makes_one_task(shared: Site, writer: httpx.Client):
    """However often, and at one time."""
    body, headers = {"sql": script.sql("succeed")}, {KEY: str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: writer.post(TASKS, json=body, headers=headers), range(8)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    (uid,) = {answer.json()["uid"] for answer in answers}
    name = answers[0].json()["name"]
    shared.succeeds(name)
    until(lambda: writer.post(TASKS, json=body, headers=headers).status_code == 200)
    assert named(shared, name) == [uid]


def test_a_key_stands_for_one_body_of_one_caller(
    server: ApiProcess, accounts: Accounts, shared: Site, writer: httpx.Client
):
    """Another body is refused, another caller has keys of its own."""
    body, headers = {"sql": script.sql("succeed")}, {KEY: "shared-key"}
    first = writer.post(TASKS, json=body, headers=headers)
    assert refused(writer.post(TASKS, json=body | {"priority": 1}, headers=headers)) == (
        409,
        "IdempotencyKeyReused",
    )
    with server.client(accounts.make("api-other", WRITE)) as client:
        other = client.post(TASKS, json=body, headers=headers)
    assert (first.status_code, other.status_code) == (202, 202)
    assert first.json()["uid"] != other.json()["uid"]


def test_a_refused_request_does_not_use_its_key_up(shared: Site, writer: httpx.Client):
    """The mended one may have it."""
    headers = {KEY: str(uuid.uuid4())}
    assert refused(writer.post(TASKS, json={"sql": "SELECT 1", "timeout": "x"}, headers=headers))[0] == 422
    assert writer.post(TASKS, json={"sql": script.sql("succeed")}, headers=headers).status_code == 202


def test_a_key_does_not_take_a_name_that_is_somebody_elses(shared: Site, writer: httpx.Client):
    """The task of that name stays what it is."""
    shared.submit("succeed", name="taken")
    answer = writer.post(TASKS, json={"sql": "SELECT 1", "name": "taken"}, headers={KEY: str(uuid.uuid4())})
    assert refused(answer) == (409, "AlreadyExists")


@pytest.mark.parametrize("lost", ["settled", "row", "object-and-settled"])
def test_a_crash_between_two_writes_makes_no_second_task(shared: Site, writer: httpx.Client, lost: str):
    """The row did not learn of the object; the row is lost; the object has even gone since: the next try
    finds the task."""
    body, headers = {"sql": script.sql("succeed")}, {KEY: f"crash-{lost}"}
    first = writer.post(TASKS, json=body, headers=headers).json()
    shared.succeeds(first["name"])
    shared.row({"metadata": {"uid": first["uid"]}}, "Succeeded")
    if lost == "row":
        change(shared, "DELETE FROM api_keys WHERE name = ?", first["name"])
    else:
        change(shared, "UPDATE api_keys SET uid = NULL WHERE name = ?", first["name"])
    if lost == "object-and-settled":
        shared.delete(names.TASK_PLURAL, first["name"])

    again = writer.post(TASKS, json=body, headers=headers)

    assert (again.status_code, again.json()["uid"]) == (200, first["uid"])
    assert shared.history.rows("SELECT uid FROM api_keys WHERE name = ?", first["name"]) == [
        {"uid": first["uid"]}
    ]
    assert named(shared, first["name"]) == [first["uid"]]


def test_a_crash_before_the_object_was_made_makes_it_later(shared: Site, writer: httpx.Client):
    """Under the name that the row has promised."""
    body, headers = {"sql": script.sql("succeed")}, {KEY: "crash-early"}
    first = writer.post(TASKS, json=body, headers=headers).json()
    shared.delete(names.TASK_PLURAL, first["name"])
    # As after a crash right after the claim: nobody has ever heard of that object.
    change(shared, "UPDATE api_keys SET uid = NULL WHERE name = ?", first["name"])
    until(
        lambda: shared.history.rows(
            "SELECT 1 FROM tasks WHERE object_deleted_at > 0 AND uid = ?", first["uid"]
        )
    )
    change(shared, "UPDATE tasks SET metadata = '{}' WHERE uid = ?", first["uid"])

    again = writer.post(TASKS, json=body, headers=headers)

    assert (again.status_code, again.json()["name"]) == (202, first["name"])
    assert again.json()["uid"] != first["uid"]
    shared.succeeds(first["name"])


def test_no_token_is_left_anywhere(server: ApiProcess, accounts: Accounts, shared: Site):
    """Neither in the log nor in the history, nor is a key."""
    token, key = accounts.make("api-secretive", WRITE), f"secret-{uuid.uuid4()}"
    with server.client(token) as client:
        client.post(TASKS, json={"sql": script.sql("succeed")}, headers={KEY: key})
    until(lambda: shared.history.rows("SELECT 1 FROM api_audit WHERE principal LIKE '%api-secretive'"))
    kept = json.dumps(
        shared.history.rows("SELECT * FROM api_keys") + shared.history.rows("SELECT * FROM api_audit")
    )
    for secret in (token, key):
        assert secret not in server.log.read_text()
        assert secret not in kept
