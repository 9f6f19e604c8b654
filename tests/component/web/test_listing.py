"""What a question for a list means to the history, and which questions are none."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from querytask.core.listing import Order, PageRequest, TaskFilter
from querytask.web.listing import ListQuery
from querytask.web.problems import Refusal

NOON = "2026-01-01T12:00:00Z"


def filter_of(**fields):
    return ListQuery(**fields).filter("analytics", 10)


def test_nothing_asked_for_is_everything():
    """Newest first, fifty on a page."""
    assert filter_of() == TaskFilter(namespace="analytics")
    assert ListQuery().request() == PageRequest(order=Order.CREATED, descending=True, limit=50)


def test_every_filter():
    """Each in the words of the history."""
    found = filter_of(
        status=["Running,queued"],
        state=["WAIT"],
        user_id="alice",
        export_status=["available expired"],
        name_prefix="late",
        text="carrier",
        created_since=NOON,
        finished_until="2026-01-01T13:00:00+01:00",
        task_ids=["a, b", "a"],
    )
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    assert found == TaskFilter(
        namespace="analytics",
        phases=frozenset({"Queued"}),
        owner="alice",
        export_states=frozenset({"Available", "Expired"}),
        name_prefix="late",
        text="carrier",
        created_since=noon,
        finished_until=noon,
        uids=("a", "b"),
    )


def test_words_that_no_task_can_have_together():
    """No question at all: the history would take an empty set for every phase."""
    assert filter_of(status=["failed"], state=["done"]) is None


@pytest.mark.parametrize("given", [[], [""], [" , "]], ids=str)
def test_no_uid_names_no_task(given):
    """An empty list is not no list: who asks for none of the tasks is not told all of them."""
    assert filter_of(task_ids=given) is None
    query = ListQuery(task_ids=given)
    assert (query.by_uids, query.page_number()) == (True, 1)


@pytest.mark.parametrize(
    ("fields", "limit", "offset", "page"),
    [
        ({}, 50, 0, 1),
        ({"limit": 7}, 7, 0, 1),
        ({"page_size": 7}, 7, 0, 1),
        ({"limit": 7, "page_size": 7}, 7, 0, 1),
        ({"page": 3, "page_size": 20}, 20, 40, 3),
        ({"page": 2}, 50, 50, 2),
        ({"offset": 100}, 50, 100, 3),
        ({"offset": 10}, 50, 10, None),
        ({"cursor": "c"}, 50, 0, None),
        ({"task_ids": ["a"], "page": 1}, 50, 0, 1),
        ({"task_ids": ["a"], "offset": 0}, 50, 0, 1),
    ],
    ids=str,
)
def test_pages(fields, limit, offset, page):
    """`page` and `page_size` are other words for `offset` and `limit`."""
    query = ListQuery(**fields)
    request = query.request()
    assert (request.limit, request.offset, query.page_number()) == (limit, offset, page)


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": "a", "user_id": "b"},
        {"limit": 5, "page_size": 6},
        {"offset": 5, "page": 1},
        {"cursor": "c", "offset": 5},
        {"cursor": "c", "page": 1},
        {"task_ids": ["a"], "cursor": "c"},
        {"task_ids": [], "cursor": "c"},
        {"task_ids": ["a"], "offset": 5},
        {"task_ids": ["a"], "page": 2},
        {"limit": 0},
        {"limit": 1001},
        {"page": 0},
        {"offset": 10_001},
        {"created_since": "2026-01-01T12:00:00"},
        {"order_by": "colour"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_contradictions(fields):
    """Two fields that say the same must not say different things, and bounds are bounds. Whoever pages
    through the tasks that it names would meet the first page for ever."""
    with pytest.raises(ValidationError):
        ListQuery(**fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"status": ["done"]}, "status"),
        ({"state": ["failed"]}, "state"),
        ({"export_status": ["here"]}, "export_status"),
        ({"task_ids": [f"u{number}" for number in range(11)]}, "task_ids"),
    ],
)
def test_words_that_are_none(fields, field):
    """The refusal names the field."""
    with pytest.raises(Refusal) as caught:
        filter_of(**fields)
    assert (caught.value.status, caught.value.field) == (422, field)


def test_a_page_beyond_the_offset():
    """A cursor goes there; a page does not."""
    with pytest.raises(Refusal, match="use cursor beyond it"):
        ListQuery(page=202, page_size=50).request()
    assert ListQuery(page=201, page_size=50).request().offset == 10_000
