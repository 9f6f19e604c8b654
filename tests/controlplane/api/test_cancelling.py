"""Cancelling through the API: who may, what it says, and that the first reason stays."""

from __future__ import annotations

import concurrent.futures
import contextlib
import uuid
from typing import Any

import httpx
import pytest

from querytask import names
from tests.controlplane.kit import api, script
from tests.controlplane.kit.api import TASKS, WRITE, Accounts, ApiProcess, refused, uid_of
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


def test_a_running_task_is_cancelled_with_its_reason(shared: Site, writer: httpx.Client):
    """202; who and why are in the history, and it is safe to repeat until the end; then 400."""
    task = shared.submit("hang stop=2", name="api-cancel")
    shared.reaches("api-cancel", "Running")
    path = f"{TASKS}/{uid_of(task)}/cancel"
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
    noted = until(lambda: shared.history.rows("SELECT * FROM api_audit WHERE uid = ?", uid_of(task)))
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
    path = f"{TASKS}/{uid_of(task)}/cancel"
    writer.post(path, json={"reason": "first"})
    shared.reaches("api-reason", "Cancelling")
    until(lambda: writer.get(f"{TASKS}/{uid_of(task)}").json()["cancel"])
    writer.post(path, json={"reason": "second"})
    shared.reaches("api-reason", "Cancelled")
    assert shared.row(task, "Cancelled")["cancel_reason"] == "first"


def test_cancelling_at_one_time_is_one_cancellation(shared: Site, writer: httpx.Client):
    """All are told the same, one reason counts, and one of them is noted."""
    task = shared.submit("hang stop=2", name="api-crowd")
    shared.reaches("api-crowd", "Running")
    path = f"{TASKS}/{uid_of(task)}/cancel"
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: writer.post(path, json={"reason": f"{number}"}), range(10)))
    assert {answer.status_code for answer in answers} == {202}
    shared.reaches("api-crowd", "Cancelled")
    reason = shared.row(task, "Cancelled")["cancel_reason"]
    noted = until(lambda: shared.history.rows("SELECT detail FROM api_audit WHERE uid = ?", uid_of(task)))
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
            given = f"{site.namespace}:{name}" if "named" in name else uid_of(task)
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
    answer = writer.post(f"{TASKS}/{uid_of(task)}/cancel")
    assert refused(answer) == (400, "TaskFinished")
    assert 'the task "api-late" is succeeded since' in answer.json()["detail"]
    assert answer.json()["value"] == "succeeded"

    gone = shared.submit("hang", name="api-gone")
    shared.reaches("api-gone", "Running")
    shared.delete(names.TASK_PLURAL, "api-gone")
    assert refused(writer.post(f"{TASKS}/{uid_of(gone)}/cancel")) == (400, "TaskFinished")


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
        assert client.post(f"{TASKS}/{uid_of(task)}/cancel").status_code == 202
        status = {"status": {"phase": "Failed", "reason": "SqlError"}}
        path = f"/apis/{names.API_VERSION}/namespaces/{site.namespace}/querytasks/ends/status"
        site.plane.api.call("PATCH", path, status)
        for given in (uid_of(task), f"{site.namespace}:ends"):
            assert refused(client.post(f"{TASKS}/{given}/cancel")) == (400, "TaskFinished")
        site.delete(names.TASK_PLURAL, "again")
        anew = site.submit_again("again", "hang")
        assert refused(client.post(f"{TASKS}/{uid_of(other)}/cancel")) == (400, "TaskFinished")
        assert (site.get(names.TASK_PLURAL, "again") or {})["metadata"]["uid"] == uid_of(anew)
        assert (site.get(names.TASK_PLURAL, "again") or {})["spec"]["cancel"] is False
        operator.thaw()
        operator.kill()
    site.observer.violations.clear()


def test_what_is_not_there_cannot_be_cancelled(writer: httpx.Client, shared: Site):
    """404 with a sentence."""
    for unknown in (str(uuid.uuid4()), f"{shared.namespace}:nobody", "elsewhere:nobody"):
        answer = writer.post(f"{TASKS}/{unknown}/cancel")
        assert refused(answer) == (404, "TaskNotFound")
        assert f'there is no task "{unknown}"' in answer.json()["detail"]


def test_cancelling_needs_the_right(server: ApiProcess, accounts: Accounts, shared: Site):
    """403 for whoever may read but not change, or do nothing at all; 404 where the task is not theirs to
    read."""
    task = shared.submit("hang stop=2", name="api-guarded")
    shared.reaches("api-guarded", "Running")
    path = f"{TASKS}/{uid_of(task)}/cancel"
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
        answer = client.post(f"{TASKS}/{uid_of(ended)}/cancel")
        assert refused(answer) == (403, "Forbidden")
        shared.cancel("api-right-stopping")
        path = f"{TASKS}/{uid_of(stopping)}"
        until(lambda: client.get(path).json()["status"] == "cancelling")
        assert refused(client.post(f"{path}/cancel")) == (403, "Forbidden")
    shared.reaches("api-right-stopping", "Cancelled")


@pytest.mark.parametrize("body", [{"reason": "x" * 257}, {"why": "x"}, {"reason": 1}, []])
def test_a_reason_has_its_bounds(shared: Site, writer: httpx.Client, body: Any):
    """And no other field beside it."""
    answer = writer.post(f"{TASKS}/{shared.namespace}:any/cancel", json=body)
    assert refused(answer) == (422, "Invalid")
