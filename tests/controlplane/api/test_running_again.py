"""Running a task again through the API."""

from __future__ import annotations

import uuid

import httpx

from querytask import names
from tests.controlplane.kit.api import KEY, TASKS, refused, uid_of
from tests.controlplane.kit.site import Site


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
    uid = uid_of(task)
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
    first = writer.post(f"{TASKS}/{uid_of(one)}/retry", headers=headers).json()
    again = writer.post(f"{TASKS}/{uid_of(one)}/retry", headers=headers).json()
    assert (first["uid"], first["retry_of"]) == (again["uid"], uid_of(one))
    other = writer.post(f"{TASKS}/{uid_of(two)}/retry", headers=headers)
    assert refused(other) == (409, "IdempotencyKeyReused")


def test_what_has_not_ended_is_not_run_again(shared: Site, writer: httpx.Client):
    """409 with a sentence; what is not there is a 404."""
    task = shared.submit("hang", name="api-unfinished")
    shared.reaches("api-unfinished", "Running")
    answer = writer.post(f"{TASKS}/{uid_of(task)}/retry")
    assert refused(answer) == (409, "NotYet")
    assert refused(writer.post(f"{TASKS}/{uuid.uuid4()}/retry")) == (404, "TaskNotFound")
    shared.cancel("api-unfinished")
    shared.reaches("api-unfinished", "Cancelled")
