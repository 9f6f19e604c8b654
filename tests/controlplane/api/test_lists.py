"""Lists and counts through the API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.controlplane.kit.api import TASKS, refused, uid_of
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waiting import until


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
    assert refused(answer) == (422, "Invalid")
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
