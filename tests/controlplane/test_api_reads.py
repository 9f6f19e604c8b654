"""What the API reads: lists, one task, its results, its log, changes; beside a real operator, with real
tokens."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from querytask import names
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts, ApiProcess
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until

TASKS = "/api/v1/tasks"


@pytest.fixture(scope="module")
def accounts(_shared: Site) -> Accounts:
    return Accounts(_shared.plane, _shared.namespace)


@pytest.fixture(scope="module")
def server(_shared: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API beside the shared operator, quick to see that a right is gone."""
    port = _shared.operators[-1].port
    with api.serving(
        _shared,
        tmp_path_factory.mktemp("api"),
        decision_seconds=0.2,
        api_heartbeat_seconds=0.2,
        operator_metrics_url=f"http://127.0.0.1:{port}/metrics",
    ) as process:
        yield process


@pytest.fixture(scope="module")
def reader(server: ApiProcess, accounts: Accounts) -> Iterator[httpx.Client]:
    """A caller that may read tasks and logs."""
    with server.client(accounts.make("api-reader", pods=True)) as client:
        yield client


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


def uid_of(task: Json) -> str:
    return str(task["metadata"]["uid"])


# one task


def test_a_task_that_has_ended(shared: Site, reader: httpx.Client):
    """Identity, times, words and result; by its uid, and by its name."""
    task = shared.submit("succeed rows=3", name="api-ended", owner="data-team")
    shared.succeeds("api-ended")
    found = reader.get(f"{TASKS}/{uid_of(task)}").json()
    assert {key: found[key] for key in ("uid", "namespace", "name", "owner", "status", "state")} == {
        "uid": uid_of(task),
        "namespace": shared.namespace,
        "name": "api-ended",
        "owner": "data-team",
        "status": "succeeded",
        "state": "done",
    }
    assert (found["is_success"], found["rows"], found["export_status"]) == (True, 3, "not_applicable")
    assert found["sql_hash"] == hashlib.sha256(task["spec"]["sql"].encode()).hexdigest()
    assert found["created_at"][:19] <= found["started_at"][:19] <= found["completed_at"][:19]
    assert found["live"] is None
    assert reader.get(f"{TASKS}/{shared.namespace}:api-ended").json() == found


def test_a_task_that_runs_shows_what_its_object_says(shared: Site, reader: httpx.Client):
    """The status of the history, merged with what only the object knows."""
    task = shared.submit("hang", name="api-live")
    shared.reaches("api-live", "Running")
    found = until(lambda: (told := reader.get(f"{TASKS}/{uid_of(task)}").json())["live"] and told)
    assert (found["status"], found["is_success"]) == ("running", None)
    assert found["live"]["pod_name"] == names.pod_name(uid_of(task), 1)
    assert {item["type"] for item in found["live"]["conditions"]} >= {"Started", "Finished"}
    shared.cancel("api-live", "enough")
    shared.reaches("api-live", "Cancelled")
    ended = until(
        lambda: (told := reader.get(f"{TASKS}/{uid_of(task)}").json())["status"] == "cancelled" and told
    )
    assert ended["cancel"]["reason"] == "enough"


def test_an_etag_saves_the_answer(shared: Site, reader: httpx.Client):
    """304 for as long as nothing changes."""
    task = shared.submit("succeed", name="api-etag")
    shared.succeeds("api-etag")
    # The container's end may be seen, and noted, after that of the task.
    until(lambda: shared.history.attempts(uid_of(task))[0]["exit_code"] == 0)
    first = reader.get(f"{TASKS}/{uid_of(task)}")
    again = reader.get(f"{TASKS}/{uid_of(task)}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_waiting_ends_with_the_next_step(shared: Site, reader: httpx.Client):
    """Long before its time is over."""
    task = shared.submit("hang", name="api-wait")
    shared.reaches("api-wait", "Running")
    until(lambda: reader.get(f"{TASKS}/{uid_of(task)}").json()["status"] == "running")
    threading.Timer(0.3, shared.cancel, ("api-wait",)).start()
    found = reader.get(f"{TASKS}/{uid_of(task)}", params={"wait": "15s"})
    assert found.json()["status"] in ("cancelling", "cancelled")
    assert 0.1 < found.elapsed.total_seconds() < 10
    shared.reaches("api-wait", "Cancelled")
    until(lambda: reader.get(f"{TASKS}/{uid_of(task)}").json()["status"] == "cancelled")
    assert reader.get(f"{TASKS}/{uid_of(task)}", params={"wait": "15s"}).elapsed.total_seconds() < 2


def test_what_changes_after_the_end_changes_the_etag(shared: Site, reader: httpx.Client):
    """That the file goes, and that the object is deleted; whoever has the old one and waits is told."""
    task = shared.submit("succeed rows=1", name="api-later", export={"format": "CSV", "fileName": "late"})
    shared.succeeds("api-later")
    url = f"{TASKS}/{uid_of(task)}"
    told = until(lambda: (found := reader.get(url).json())["export"] and found)["export"]
    until(lambda: shared.history.attempts(uid_of(task))[0]["exit_code"] == 0)

    def change(make: Callable[[], object]) -> Json:
        """What is told to whoever has waited for it."""
        tag = reader.get(url).headers["etag"]
        still = reader.get(url, params={"wait": "0.3"}, headers={"If-None-Match": tag})
        assert (still.status_code, still.elapsed.total_seconds() >= 0.3) == (304, True)
        threading.Timer(0.2, make).start()
        found = reader.get(url, params={"wait": "15s"}, headers={"If-None-Match": tag})
        assert found.elapsed.total_seconds() < 10
        assert (found.status_code, found.headers["etag"] == tag) == (200, False)
        return dict(found.json())

    gone = change((shared.exports / told["path"]).unlink)
    assert gone["export"]["file_present"] is False
    deleted = change(lambda: shared.delete(names.TASK_PLURAL, "api-later"))
    assert deleted["object_deleted_at"]


def test_waiting_ends_when_its_time_is_over(shared: Site, reader: httpx.Client):
    """With what is there."""
    task = shared.submit("hang", name="api-patience")
    shared.reaches("api-patience", "Running")
    until(lambda: reader.get(f"{TASKS}/{uid_of(task)}").json()["status"] == "running")
    found = reader.get(f"{TASKS}/{uid_of(task)}", params={"wait": "0.3"})
    assert (found.json()["status"], found.elapsed.total_seconds() >= 0.3) == ("running", True)
    shared.cancel("api-patience")


def test_steps_and_attempts(shared: Site, reader: httpx.Client):
    """In order, each with its time."""
    task = shared.submit("succeed after=0.5", name="api-steps")
    shared.succeeds("api-steps")
    steps = reader.get(f"{TASKS}/{uid_of(task)}/events").json()["items"]
    assert [(item["status"], item["reason"]) for item in steps][-2:] == [
        ("running", "Started"),
        ("succeeded", "Completed"),
    ]
    assert [item["id"] for item in steps] == sorted(item["id"] for item in steps)
    (attempt,) = reader.get(f"{TASKS}/{uid_of(task)}/attempts").json()["items"]
    assert (attempt["attempt"], attempt["pod_name"]) == (1, names.pod_name(uid_of(task), 1))


# who may see it


def test_rights_by_name(shared: Site, server: ApiProcess, accounts: Accounts):
    """Who may get one task by its name sees that one; another one is not there for that caller."""
    mine, other = shared.submit("succeed", name="api-mine"), shared.submit("succeed", name="api-other")
    shared.succeeds("api-mine"), shared.succeeds("api-other")
    with server.client(accounts.make("api-by-name", ("get",), names_=["api-mine"])) as client:
        assert client.get(f"{TASKS}/{uid_of(mine)}").status_code == 200
        hidden, missing = client.get(f"{TASKS}/{uid_of(other)}"), client.get(f"{TASKS}/no-such-uid")
        assert code(client.get(TASKS)) == (403, "Forbidden")
    assert code(hidden) == code(missing) == (404, "TaskNotFound")
    assert hidden.json()["detail"].replace(uid_of(other), "x") == missing.json()["detail"].replace(
        "no-such-uid", "x"
    )


@pytest.mark.parametrize(
    ("name", "verbs", "one", "many"),
    [
        ("api-nothing", (), 403, 403),
        ("api-list-only", ("list",), 403, 200),
        ("api-get-only", ("get",), 200, 403),
        ("api-both", ("get", "list"), 200, 200),
        ("api-writes-only", ("create", "patch", "delete"), 403, 403),
    ],
)
def test_rights_by_verb(shared: Site, server: ApiProcess, accounts: Accounts, name, verbs, one, many):
    """`get` opens single tasks and `list` the lists, and neither the other."""
    task = shared.submit("succeed", name=f"of-{name}")
    shared.succeeds(f"of-{name}")
    with server.client(accounts.make(name, verbs)) as client:
        calls = [f"/{uid_of(task)}{part}" for part in ("", "/events", "/attempts", "/preview", "/manifest")]
        assert {client.get(TASKS + call).status_code for call in calls} == {one}
        lists = [client.get(TASKS), client.post(f"{TASKS}/query", json={}), client.get("/api/v1/stats")]
        assert {answer.status_code for answer in lists} == {many}
        assert client.get(f"{TASKS}/{uid_of(task)}/export").status_code in (403, 404)


def test_the_log_needs_the_right_to_logs(shared: Site, server: ApiProcess, accounts: Accounts):
    """The same right as for the pod itself, wherever the log comes from."""
    task = shared.submit("succeed", name="api-secret-log")
    shared.succeeds("api-secret-log")
    with server.client(accounts.make("api-no-logs")) as client:
        assert code(client.get(f"{TASKS}/{uid_of(task)}/logs")) == (403, "Forbidden")


# lists


def test_a_list_is_paged_both_ways(shared: Site, reader: httpx.Client):
    """Each task once on the way there, and once on the way back."""
    made = [shared.submit("succeed", name=f"api-page-{number}") for number in range(7)]
    for number in range(7):
        shared.succeeds(f"api-page-{number}")
    wanted = {uid_of(task) for task in made}
    there, cursors = [], []
    query: dict[str, Any] = {"name_prefix": "api-page-", "limit": 3}
    page = reader.get(TASKS, params=query).json()
    assert (page["page"], page["page_size"], page["count"]) == (1, 3, None)
    while True:
        there += [item["uid"] for item in page["items"]]
        cursors.append(page["previous_cursor"])
        if not page["next_cursor"]:
            break
        page = reader.get(TASKS, params=query | {"cursor": page["next_cursor"]}).json()
    back = [item["uid"] for item in page["items"]][::-1]
    while page["previous_cursor"]:
        page = reader.get(TASKS, params=query | {"cursor": page["previous_cursor"]}).json()
        back += [item["uid"] for item in page["items"]][::-1]
    assert there == back[::-1]
    assert (len(there), set(there), cursors[0]) == (7, wanted, None)
    offset = reader.get(TASKS, params=query | {"offset": 3}).json()["items"]
    paged = reader.get(TASKS, params={"name_prefix": "api-page-", "page": 2, "page_size": 3}).json()
    assert [item["uid"] for item in offset] == there[3:6] == [item["uid"] for item in paged["items"]]


def test_filters(shared: Site, reader: httpx.Client):
    """Words in any case; both calls answer the same."""
    shared.submit("succeed rows=2", name="api-filter-a", owner="alice", sql="SELECT 1 -- succeed")
    task = shared.submit("fail code=10 reason=SqlError", name="api-filter-b", owner="bob")
    shared.succeeds("api-filter-a")
    shared.reaches("api-filter-b", "Failed")

    def names_of(**query: Any) -> list[str]:
        query = {"name_prefix": "api-filter-"} | query
        found = reader.get(TASKS, params=query)
        same = reader.post(f"{TASKS}/query", json=query)
        assert found.status_code == 200, found.text
        told = [[item["name"] for item in answer.json()["items"]] for answer in (found, same)]
        assert told[0] == told[1]
        return sorted(told[0])

    until(lambda: names_of(status=["succeeded", "failed"]) == ["api-filter-a", "api-filter-b"])
    assert names_of(owner="alice") == names_of(user_id="alice") == ["api-filter-a"]
    assert names_of(status=["SUCCESS"]) == names_of(state=["done"]) == ["api-filter-a"]
    assert names_of(status=["failed", "running"]) == names_of(state=["error"]) == ["api-filter-b"]
    assert names_of(status=["failed"], state=["done"]) == []
    assert names_of(export_status=["not_applicable"]) == ["api-filter-a", "api-filter-b"]
    assert names_of(task_ids=[uid_of(task), "nobody"]) == ["api-filter-b"]
    assert names_of(created_since="2999-01-01T00:00:00Z") == []
    assert reader.get(TASKS, params={"owner": "bob", "count": "true"}).json()["count"] == 1
    one = reader.get(TASKS, params={"task_ids": f"{uid_of(task)}, nobody"}).json()
    assert (one["page"], one["page_size"], one["next_cursor"], len(one["items"])) == (1, 1, None, 1)
    nobody = reader.post(f"{TASKS}/query", json={"task_ids": [], "count": True})
    same = reader.get(TASKS, params={"task_ids": "", "count": "true"})
    for found in (nobody, same):
        assert (found.status_code, found.json()["items"], found.json()["count"]) == (200, [], 0), found.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "done"}, "status"),
        ({"state": "succeeded"}, "state"),
        ({"export_status": "gone"}, "export_status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"offset": "10001"}, "offset"),
        ({"page": "300", "page_size": "50"}, "page"),
        ({"cursor": "damaged"}, "cursor"),
        ({"text": "late a*"}, "text"),
        ({"text": "!!!"}, "text"),
        ({"text": "=="}, "text"),
        ({"created_since": "yesterday"}, "created_since"),
        ({"created_since": "2026-01-01T00:00:00"}, "created_since"),
        ({"order_by": "luck"}, "order_by"),
        ({"colour": "red"}, "colour"),
        ({"task_ids": " ".join(map(str, range(201)))}, "task_ids"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_question_that_cannot_be_answered(reader: httpx.Client, query, field):
    """422, with the field at fault and what it held."""
    answer = reader.get(TASKS, params=query)
    assert code(answer) == (422, "Invalid")
    assert answer.json()["field"] == field, answer.json()
    assert answer.json().get("value") not in (None, ""), answer.json()


def test_stats(shared: Site, reader: httpx.Client):
    """By status and by state, and the operator's slots."""
    shared.submit("succeed", name="api-counted")
    shared.succeeds("api-counted")
    found = reader.get("/api/v1/stats").json()
    assert found["total"] == sum(found["by_status"].values()) == sum(found["by_state"].values()) > 0
    assert found["slots"]["limit"] == 50
    assert found["active_workers"] == found["slots"]["held"]


# results


def test_the_file_itself(shared: Site, reader: httpx.Client):
    """Byte for byte, with its length and its checksum; and when it has gone, 410."""
    export = {"format": "CSV", "fileName": "late", "retention": "1h"}
    task = shared.submit("succeed rows=4", name="api-export", export=export)
    shared.succeeds("api-export")
    url = f"{TASKS}/{uid_of(task)}"
    told = until(lambda: (found := reader.get(url).json())["export"] and found)["export"]
    assert (told["status"], told["file_present"]) == ("available", True)
    answer = reader.get(f"{url}/export")
    content = (shared.exports / told["path"]).read_bytes()
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-checksum-sha256"] == hashlib.sha256(content).hexdigest()
    assert answer.headers["content-type"].startswith("text/csv")
    assert "late.csv" in answer.headers["content-disposition"]
    again = reader.get(f"{url}/export", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    manifest = reader.get(f"{url}/manifest").json()
    assert (manifest["uid"], manifest["rows"]) == (uid_of(task), 4)
    (shared.exports / told["path"]).unlink()
    assert code(reader.get(f"{url}/export")) == (410, "ExportGone")
    assert reader.get(url).json()["export"]["file_present"] is False


def test_a_link_in_the_place_of_the_file_leads_nowhere(shared: Site, reader: httpx.Client, tmp_path):
    """Whatever a worker leaves under the name, nothing outside its folder is sent."""
    (tmp_path / "secret").write_text("secret")
    task = shared.submit("succeed rows=1", name="api-link", export={"format": "CSV", "fileName": "late"})
    shared.succeeds("api-link")
    url = f"{TASKS}/{uid_of(task)}"
    told = until(lambda: (found := reader.get(url).json())["export"] and found)["export"]
    file = shared.exports / told["path"]
    file.unlink()
    file.symlink_to(tmp_path / "secret")
    assert code(reader.get(f"{url}/export")) == (410, "ExportGone")


def test_the_first_rows(shared: Site, reader: httpx.Client):
    """With their columns, as JSON values."""
    task = shared.submit("succeed rows=2", name="api-preview")
    shared.succeeds("api-preview")
    found = reader.get(f"{TASKS}/{uid_of(task)}/preview").json()
    assert found["columns"] == [{"name": "number", "type": "INTEGER"}, {"name": "text", "type": "VARCHAR"}]
    assert (found["rows"], found["truncated"], found["total_rows"]) == (
        [[0, "row 0"], [1, "row 1"]],
        False,
        2,
    )


def test_nothing_to_fetch(shared: Site, reader: httpx.Client):
    """Not yet, not at all, or no such task: three answers."""
    runs = shared.submit("hang", name="api-not-yet")
    failed = shared.submit("fail code=10 reason=SqlError", name="api-no-result")
    shared.reaches("api-not-yet", "Running")
    shared.reaches("api-no-result", "Failed")
    for part in ("preview", "export", "manifest"):
        assert code(reader.get(f"{TASKS}/{uid_of(runs)}/{part}")) == (409, "NotYet")
        assert code(reader.get(f"{TASKS}/{uid_of(failed)}/{part}")) == (404, "NothingThere")
        assert code(reader.get(f"{TASKS}/nobody/{part}")) == (404, "TaskNotFound")
    shared.cancel("api-not-yet")


def test_the_kept_log(shared: Site, reader: httpx.Client):
    """The tail that the worker left, when its pod is gone."""
    task = shared.submit("succeed", name="api-log")
    shared.succeeds("api-log")
    file = shared.directory(task) / "1" / "_worker.log"
    file.write_text("one\ntwo\nthree\n")
    answer = reader.get(f"{TASKS}/{uid_of(task)}/logs", params={"tail": 2})
    assert (answer.text, answer.headers["x-log-source"]) == ("two\nthree\n", "kept")
    assert answer.headers["x-log-truncated"] == "false"
    assert code(reader.get(f"{TASKS}/{uid_of(task)}/logs", params={"attempt": 7})) == (404, "NothingThere")


def test_the_log_of_a_worker_whose_node_is_not_there(shared: Site, reader: httpx.Client):
    """No kubelet answers here: what the worker has written so far is better than nothing."""
    task = shared.submit("hang", name="api-silent")
    shared.reaches("api-silent", "Running")
    assert code(reader.get(f"{TASKS}/{uid_of(task)}/logs")) == (404, "NothingThere")
    (shared.directory(task) / "1" / "_worker.log").write_text("so far\n")
    answer = reader.get(f"{TASKS}/{uid_of(task)}/logs")
    assert (answer.text, answer.headers["x-log-source"]) == ("so far\n", "kept")
    shared.cancel("api-silent")


# changes


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


def test_a_name_is_that_of_the_task_which_has_it_now(sites, tmp_path):
    """Made anew while no operator looks, it is not the old one that the history has."""
    site: Site = sites()
    operator = site.operator()
    old = site.submit("succeed", name="anew")
    site.succeeds("anew")
    site.row(old, "Succeeded")
    operator.freeze()
    with (
        api.serving(site, tmp_path) as process,
        process.client(Accounts(site.plane, site.namespace).make("anew-reader")) as client,
    ):
        path = f"{TASKS}/{site.namespace}:anew"
        assert client.get(path).json()["uid"] == uid_of(old)
        site.delete(names.TASK_PLURAL, "anew")
        assert client.get(path).json()["uid"] == uid_of(old)
        new = until(lambda: _made_again(site, "anew")) or {}
        found = client.get(path).json()
        assert (found["uid"], found["status"]) == (uid_of(new), "queued")
        assert client.get(f"{TASKS}/{uid_of(old)}").json()["status"] == "succeeded"
        operator.thaw()
        site.succeeds("anew")


def _made_again(site: Site, name: str) -> Json | None:
    return None if site.get(names.TASK_PLURAL, name) else site.submit("succeed", name=name)


def test_what_the_operator_has_not_seen_yet(sites, tmp_path):
    """A task that was created while no operator runs is queued, by its uid and by its name; without the
    operator's history nothing else would know of it."""
    site: Site = sites()
    site.operator().stop()
    task = site.submit("succeed", name="fresh")
    with api.serving(site, tmp_path) as process:
        token = Accounts(site.plane, site.namespace).make("fresh-reader")
        with process.client(token) as client:
            for given in (uid_of(task), f"{site.namespace}:fresh"):
                found = client.get(f"{TASKS}/{given}").json()
                assert (found["uid"], found["status"], found["sql"]) == (
                    uid_of(task),
                    "queued",
                    task["spec"]["sql"],
                )
