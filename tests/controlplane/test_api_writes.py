"""What the API writes: submitting, once for a key; cancelling; running again. Beside a real operator, in the
name of real tokens."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pysqlite3 import dbapi2

from querytask import names
from querytask.web.problems import shown
from tests.controlplane.kit import api, script
from tests.controlplane.kit.api import WRITE, Accounts, ApiProcess
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

TASKS = "/api/v1/tasks"
KEY = "Idempotency-Key"


@pytest.fixture(scope="module")
def accounts(_shared: Site) -> Accounts:
    return Accounts(_shared.plane, _shared.namespace)


@pytest.fixture(scope="module")
def server(_shared: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API beside the shared operator."""
    with api.serving(_shared, tmp_path_factory.mktemp("writes"), decision_seconds=0.2) as process:
        yield process


@pytest.fixture(scope="module")
def writer(server: ApiProcess, accounts: Accounts) -> Iterator[httpx.Client]:
    """A caller that may do all that the API asks for, and nothing to pods."""
    with server.client(accounts.make("api-writer", WRITE)) as client:
        yield client


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def rows(site: Site, statement: str, *values: Any) -> list[Json]:
    """Of the history, read beside both programs."""
    return site.history._rows(statement, *values)


def change(site: Site, statement: str, *values: Any) -> None:
    """Do to the API's tables what a crash would have left undone."""
    with contextlib.closing(dbapi2.connect(str(site.history_dir / "history.db"), timeout=5)) as connection:
        connection.execute(statement, values)
        connection.commit()


def named(site: Site, name: str) -> list[str]:
    """The uids of all tasks of that name that there ever were."""
    return [row["uid"] for row in rows(site, "SELECT uid FROM tasks WHERE name = ?", name)]


# submitting


def test_a_query_is_run_and_answered(shared: Site, writer: httpx.Client):
    """With `wait` the first rows are in the answer; the owner is the caller."""
    answer = writer.post(TASKS, params={"wait": "20s"}, json={"sql": script.sql("succeed rows=3")})

    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["status"], found["rows"], found["preview"]["total_rows"]) == ("succeeded", 3, 3)
    assert answer.headers["location"] == f"{TASKS}/{found['uid']}"
    assert found["owner"] == f"system:serviceaccount:{shared.namespace}:api-writer"
    assert found["name"].startswith("query-")
    assert writer.get(answer.headers["location"]).json() == {
        key: value for key, value in found.items() if key != "preview"
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
    assert rows(shared, "SELECT uid FROM api_keys WHERE name = ?", first["name"]) == [{"uid": first["uid"]}]
    assert named(shared, first["name"]) == [first["uid"]]


def test_a_crash_before_the_object_was_made_makes_it_later(shared: Site, writer: httpx.Client):
    """Under the name that the row has promised."""
    body, headers = {"sql": script.sql("succeed")}, {KEY: "crash-early"}
    first = writer.post(TASKS, json=body, headers=headers).json()
    shared.delete(names.TASK_PLURAL, first["name"])
    # As after a crash right after the claim: nobody has ever heard of that object.
    change(shared, "UPDATE api_keys SET uid = NULL WHERE name = ?", first["name"])
    until(lambda: rows(shared, "SELECT 1 FROM tasks WHERE object_deleted_at > 0 AND uid = ?", first["uid"]))
    change(shared, "UPDATE tasks SET metadata = '{}' WHERE uid = ?", first["uid"])

    again = writer.post(TASKS, json=body, headers=headers)

    assert (again.status_code, again.json()["name"]) == (202, first["name"])
    assert again.json()["uid"] != first["uid"]
    shared.succeeds(first["name"])


# cancelling


def test_a_running_task_is_cancelled_with_its_reason(shared: Site, writer: httpx.Client):
    """202; who and why are in the history, and it is safe to repeat until the end; then 400."""
    task = shared.submit("hang stop=0.5", name="api-cancel")
    shared.reaches("api-cancel", "Running")
    path = f"{TASKS}/{task['metadata']['uid']}/cancel"
    answer = writer.post(path, json={"reason": "the quarter is over"})

    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    assert writer.post(path, json={"reason": "another"}).status_code == 202
    assert writer.post(f"{TASKS}/{shared.namespace}:api-cancel/cancel").status_code == 202
    shared.reaches("api-cancel", "Cancelled")
    row = shared.row(task, "Cancelled")
    who = f"system:serviceaccount:{shared.namespace}:api-writer"
    assert row["cancel_actor"] == f"querytask-api:{who}"
    ended = writer.post(path)
    assert refused(ended) == (400, "TaskFinished")
    assert 'the task "api-cancel" is cancelled since' in ended.json()["detail"]
    noted = until(lambda: rows(shared, "SELECT * FROM api_audit WHERE uid = ?", task["metadata"]["uid"]))
    assert (noted[0]["verb"], noted[0]["principal"], noted[0]["detail"]) == (
        "cancel",
        who,
        "the quarter is over",
    )
    assert noted[0]["request_id"] == answer.headers["x-request-id"]


def test_the_first_reason_stays_in_the_history(shared: Site, writer: httpx.Client):
    """What is said once the task is being cancelled changes nothing."""
    task = shared.submit("hang stop=0.5", name="api-reason")
    shared.reaches("api-reason", "Running")
    path = f"{TASKS}/{task['metadata']['uid']}/cancel"
    writer.post(path, json={"reason": "first"})
    shared.reaches("api-reason", "Cancelling")
    until(lambda: writer.get(f"{TASKS}/{task['metadata']['uid']}").json()["cancel"])
    writer.post(path, json={"reason": "second"})
    shared.reaches("api-reason", "Cancelled")
    assert shared.row(task, "Cancelled")["cancel_reason"] == "first"


def test_cancelling_at_one_time_is_one_cancellation(shared: Site, writer: httpx.Client):
    """All are told the same, one reason counts, and one of them is noted."""
    task = shared.submit("hang stop=0.3", name="api-crowd")
    shared.reaches("api-crowd", "Running")
    path = f"{TASKS}/{task['metadata']['uid']}/cancel"
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: writer.post(path, json={"reason": f"{number}"}), range(10)))
    assert {answer.status_code for answer in answers} == {202}
    shared.reaches("api-crowd", "Cancelled")
    reason = shared.row(task, "Cancelled")["cancel_reason"]
    noted = until(lambda: rows(shared, "SELECT detail FROM api_audit WHERE uid = ?", task["metadata"]["uid"]))
    assert [row["detail"] for row in noted] == [reason]


def test_the_first_reason_stays_before_the_operator_has_seen_it(sites: Any, tmp_path: Any):
    """A second one is answered the same and changes nothing: neither the reason nor who gave it; nor do
    other annotations go. By uid and by name, of an object with annotations and without."""
    site: Site = sites()
    operator = site.operator()
    made = {name: site.submit("hang", name=name) for name in ("bare", "bare-named", "noted", "noted-named")}
    team = {"example.com/team": "data"}
    root = f"/apis/{names.API_VERSION}/namespaces/{site.namespace}/querytasks"
    for name in ("noted", "noted-named"):
        site.plane.api.call("PATCH", f"{root}/{name}", {"metadata": {"annotations": team}})
    for name, task in made.items():
        site.reaches(name, "Running")
        site.row(task, "Running")
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(api.serving(site, tmp_path))
        accounts = Accounts(site.plane, site.namespace)
        one, other = (stack.enter_context(process.client(accounts.make(name, WRITE))) for name in "ab")
        reader = stack.enter_context(process.client(accounts.make("c")))
        operator.freeze()
        for name, task in made.items():
            given = f"{site.namespace}:{name}" if "named" in name else task["metadata"]["uid"]
            for client, reason in ((one, "first"), (other, "second"), (other, "")):
                answer = client.post(f"{TASKS}/{given}/cancel", json={"reason": reason})
                assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
            assert refused(reader.post(f"{TASKS}/{given}/cancel")) == (403, "Forbidden")
            live = site.get(names.TASK_PLURAL, name) or {}
            others = team if "noted" in name else {}
            assert live["metadata"]["annotations"] == others | {names.CANCEL_REASON_ANNOTATION: "first"}
        operator.thaw()
        for name, task in made.items():
            site.reaches(name, "Cancelled")
            row = site.row(task, "Cancelled")
            who = f"querytask-api:system:serviceaccount:{site.namespace}:a"
            assert (row["cancel_reason"], row["cancel_actor"]) == ("first", who)


def test_a_task_that_was_submitted_just_now_is_cancelled(shared: Site, writer: httpx.Client):
    """Even before any operator has looked at it."""
    for number in range(5):
        made = writer.post(TASKS, json={"sql": script.sql("hang"), "name": f"api-at-once-{number}"}).json()
        assert writer.post(f"{TASKS}/{made['uid']}/cancel").status_code == 202
    for number in range(5):
        shared.reaches(f"api-at-once-{number}", "Cancelled")


def test_what_has_ended_cannot_be_cancelled(shared: Site, writer: httpx.Client):
    """400 with a sentence, for a success, and for an object that was deleted."""
    task = shared.submit("succeed", name="api-late")
    shared.succeeds("api-late")
    shared.row(task, "Succeeded")
    answer = writer.post(f"{TASKS}/{task['metadata']['uid']}/cancel")
    assert refused(answer) == (400, "TaskFinished")
    assert 'the task "api-late" is succeeded since' in answer.json()["detail"]
    assert answer.json()["value"] == "succeeded"

    gone = shared.submit("hang", name="api-gone")
    shared.reaches("api-gone", "Running")
    shared.delete(names.TASK_PLURAL, "api-gone")
    assert refused(writer.post(f"{TASKS}/{gone['metadata']['uid']}/cancel")) == (400, "TaskFinished")


def test_the_end_may_come_in_between(sites: Any, tmp_path: Any):
    """The history does not know it yet, the API server does: 400 all the same; nor is another task of that
    name cancelled."""
    site = sites()
    operator = site.operator()
    with (
        api.serving(site, tmp_path) as process,
        process.client(Accounts(site.plane, site.namespace).make("w", WRITE)) as client,
    ):
        task = site.submit("hang", name="ends")
        other = site.submit("hang", name="again")
        site.reaches("ends", "Running")
        site.reaches("again", "Running")
        operator.freeze()
        assert client.post(f"{TASKS}/{task['metadata']['uid']}/cancel").status_code == 202
        status = {"status": {"phase": "Failed", "reason": "SqlError"}}
        path = f"/apis/{names.API_VERSION}/namespaces/{site.namespace}/querytasks/ends/status"
        site.plane.api.call("PATCH", path, status)
        for given in (task["metadata"]["uid"], f"{site.namespace}:ends"):
            assert refused(client.post(f"{TASKS}/{given}/cancel")) == (400, "TaskFinished")
        site.delete(names.TASK_PLURAL, "again")
        anew = until(lambda: _made_again(site, "again"))
        assert anew is not None
        assert refused(client.post(f"{TASKS}/{other['metadata']['uid']}/cancel")) == (400, "TaskFinished")
        assert (site.get(names.TASK_PLURAL, "again") or {})["metadata"]["uid"] == anew["metadata"]["uid"]
        assert (site.get(names.TASK_PLURAL, "again") or {})["spec"]["cancel"] is False
        operator.thaw()
        operator.kill()
    site.observer.violations.clear()


def _made_again(site: Site, name: str) -> Json | None:
    return None if site.get(names.TASK_PLURAL, name) else site.submit("hang", name=name)


def test_what_is_not_there_cannot_be_cancelled(writer: httpx.Client, shared: Site):
    """404 with a sentence."""
    for unknown in (str(uuid.uuid4()), f"{shared.namespace}:nobody", "elsewhere:nobody"):
        answer = writer.post(f"{TASKS}/{unknown}/cancel")
        assert refused(answer) == (404, "TaskNotFound")
        assert f'there is no task "{unknown}"' in answer.json()["detail"]


def test_cancelling_needs_the_right(server: ApiProcess, accounts: Accounts, shared: Site):
    """403 for whoever may read but not change, or do nothing at all; 404 where the task is not theirs to
    read."""
    task = shared.submit("hang", name="api-guarded")
    shared.reaches("api-guarded", "Running")
    path = f"{TASKS}/{task['metadata']['uid']}/cancel"
    accounts_of = {
        "api-may-read": accounts.make("api-may-read"),
        "api-may-nothing": accounts.make("api-may-nothing", ()),
        "api-other-name": accounts.make("api-other-name", WRITE, names_=("another",)),
        "api-this-name": accounts.make("api-this-name", ("get", "patch"), names_=("api-guarded",)),
    }
    found = {}
    for name, token in accounts_of.items():
        with server.client(token) as client:
            found[name] = [client.post(path).status_code for _ in range(2)]
    assert found == {
        "api-may-read": [403, 403],
        "api-may-nothing": [403, 403],
        "api-other-name": [404, 404],
        "api-this-name": [202, 202],
    }
    shared.reaches("api-guarded", "Cancelled")


def test_who_may_only_read_learns_of_no_end_by_cancelling(
    server: ApiProcess, accounts: Accounts, shared: Site
):
    """The right is asked for first, also where nothing would be written."""
    ended = shared.submit("succeed", name="api-right-ended")
    stopping = shared.submit("hang stop=1", name="api-right-stopping")
    shared.succeeds("api-right-ended")
    shared.row(ended, "Succeeded")
    shared.reaches("api-right-stopping", "Running")
    with server.client(accounts.make("api-right-reader")) as client:
        answer = client.post(f"{TASKS}/{ended['metadata']['uid']}/cancel")
        assert refused(answer) == (403, "Forbidden")
        shared.cancel("api-right-stopping")
        path = f"{TASKS}/{stopping['metadata']['uid']}"
        until(lambda: client.get(path).json()["status"] == "cancelling")
        assert refused(client.post(f"{path}/cancel")) == (403, "Forbidden")
    shared.reaches("api-right-stopping", "Cancelled")


@pytest.mark.parametrize("body", [{"reason": "x" * 257}, {"why": "x"}, {"reason": 1}, []])
def test_a_reason_has_its_bounds(shared: Site, writer: httpx.Client, body: Any):
    """And no other field beside it."""
    answer = writer.post(f"{TASKS}/{shared.namespace}:any/cancel", json=body)
    assert refused(answer) == (422, "Invalid")


# running again


def test_a_task_is_run_again(shared: Site, writer: httpx.Client):
    """With the same spec, and each knows the other; also when the first one's object is gone."""
    task = shared.submit(
        "succeed rows=4",
        name="api-first",
        owner="data-team",
        priority=3,
        parameters=[{"name": "a", "type": "INTEGER", "value": "1"}],
        timeout="5m",
        export={"format": "CSV", "fileName": "out"},
    )
    shared.succeeds("api-first")
    shared.row(task, "Succeeded")
    shared.delete(names.TASK_PLURAL, "api-first")
    uid = task["metadata"]["uid"]
    answer = writer.post(f"{TASKS}/{uid}/retry", params={"wait": "20s"})

    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["retry_of"], found["owner"], found["preview"]["total_rows"]) == (uid, "data-team", 4)
    assert found["name"].startswith("api-first-")
    again = shared.get(names.TASK_PLURAL, found["name"])
    assert again is not None
    assert again["spec"] == task["spec"]
    assert shared.row(again, "Succeeded")["retry_of"] == uid
    third = writer.post(f"{TASKS}/{found['uid']}/retry", params={"wait": "20s"}).json()
    assert (third["retry_of"], len(third["name"])) == (found["uid"], len(found["name"]))


def test_running_again_is_once_for_a_key(shared: Site, writer: httpx.Client):
    """The same rules as for submitting; the key of one task is not for another."""
    one, two = (shared.submit("succeed", name=f"api-once-{number}") for number in (1, 2))
    for task in (one, two):
        shared.succeeds(task["metadata"]["name"])
        shared.row(task, "Succeeded")
    headers = {KEY: str(uuid.uuid4())}
    first = writer.post(f"{TASKS}/{one['metadata']['uid']}/retry", headers=headers).json()
    again = writer.post(f"{TASKS}/{one['metadata']['uid']}/retry", headers=headers).json()
    assert (first["uid"], first["retry_of"]) == (again["uid"], one["metadata"]["uid"])
    other = writer.post(f"{TASKS}/{two['metadata']['uid']}/retry", headers=headers)
    assert refused(other) == (409, "IdempotencyKeyReused")


def test_what_has_not_ended_is_not_run_again(shared: Site, writer: httpx.Client):
    """409 with a sentence; what is not there is a 404."""
    task = shared.submit("hang", name="api-unfinished")
    shared.reaches("api-unfinished", "Running")
    answer = writer.post(f"{TASKS}/{task['metadata']['uid']}/retry")
    assert refused(answer) == (409, "NotYet")
    assert refused(writer.post(f"{TASKS}/{uuid.uuid4()}/retry")) == (404, "TaskNotFound")
    shared.cancel("api-unfinished")
    shared.reaches("api-unfinished", "Cancelled")


def test_no_token_is_left_anywhere(server: ApiProcess, accounts: Accounts, shared: Site):
    """Neither in the log nor in the history, nor is a key."""
    token, key = accounts.make("api-secretive", WRITE), f"secret-{uuid.uuid4()}"
    with server.client(token) as client:
        client.post(TASKS, json={"sql": script.sql("succeed")}, headers={KEY: key})
    until(lambda: rows(shared, "SELECT 1 FROM api_audit WHERE principal LIKE '%api-secretive'"))
    kept = json.dumps(rows(shared, "SELECT * FROM api_keys") + rows(shared, "SELECT * FROM api_audit"))
    for secret in (token, key):
        assert secret not in server.log.read_text()
        assert secret not in kept
