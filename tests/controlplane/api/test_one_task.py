"""What the API tells of one task, and to whom; beside a real operator, with real tokens."""

from __future__ import annotations

import concurrent.futures
import hashlib
import threading
from collections.abc import Callable

import httpx
import pytest

from querytask import names
from tests.controlplane.kit import api
from tests.controlplane.kit.api import TASKS, Accounts, ApiProcess, refused, uid_of
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


def settled(site: Site, task: Json) -> None:
    """Wait until the container's end is noted, which may be after that of the task."""
    until(lambda: site.history.attempts(uid_of(task))[0]["exit_code"] == 0)


def test_a_task_that_has_ended(shared: Site, reader: httpx.Client):
    """Identity, times, words and result; by its uid, and by its name."""
    task = shared.submit("succeed rows=3", name="api-ended", owner="data-team")
    shared.succeeds("api-ended")
    settled(shared, task)
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
    settled(shared, task)
    first = reader.get(f"{TASKS}/{uid_of(task)}")
    again = reader.get(f"{TASKS}/{uid_of(task)}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_waiting_ends_with_the_next_step(shared: Site, reader: httpx.Client):
    """Long before its time is over."""
    task = shared.submit("hang", name="api-wait")
    shared.reaches("api-wait", "Running")
    until(lambda: reader.get(f"{TASKS}/{uid_of(task)}").json()["status"] == "running")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.get, f"{TASKS}/{uid_of(task)}", params={"wait": "15s"})
        with pytest.raises(concurrent.futures.TimeoutError):
            waiting.result(0.3)
        shared.cancel("api-wait")
        found = waiting.result(30)
    assert found.json()["status"] in ("cancelling", "cancelled")
    assert found.elapsed.total_seconds() < 10
    shared.reaches("api-wait", "Cancelled")
    until(lambda: reader.get(f"{TASKS}/{uid_of(task)}").json()["status"] == "cancelled")
    assert reader.get(f"{TASKS}/{uid_of(task)}", params={"wait": "15s"}).elapsed.total_seconds() < 10


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
    task = shared.submit("succeed after=1.2", name="api-steps")
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
        assert refused(client.get(TASKS)) == (403, "Forbidden")
    assert refused(hidden) == refused(missing) == (404, "TaskNotFound")
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
        assert refused(client.get(f"{TASKS}/{uid_of(task)}/logs")) == (403, "Forbidden")


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
        new = site.submit_again("anew", "succeed")
        found = client.get(path).json()
        assert (found["uid"], found["status"]) == (uid_of(new), "queued")
        assert client.get(f"{TASKS}/{uid_of(old)}").json()["status"] == "succeeded"
        operator.thaw()
        site.succeeds("anew")


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
