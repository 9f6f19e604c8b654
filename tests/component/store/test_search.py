"""Lists of tasks: what matches, in which order, page after page."""

from __future__ import annotations

from typing import Any

import pytest

from querytask.adapters.store import CancelRecord, Store, TaskSummary
from querytask.core.listing import (
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_UIDS,
    Order,
    Page,
    PageRequest,
    QuestionRefused,
    TaskFilter,
)
from querytask.names import ExportState, Phase
from querytask_worker.contract import Error
from tests.component.store.builders import Clock, at, export, result, step, task


def wanted(**fields: Any) -> TaskFilter:
    return TaskFilter(namespace="analytics", **fields)


def names(page: Page[TaskSummary]) -> str:
    return " ".join(item.uid for item in page.items)


async def ask(history: Store, page: PageRequest | None = None, **fields: Any) -> str:
    return names(await history.search(wanted(**fields), page or PageRequest(descending=False)))


async def test_a_summary_shows_what_is_short(history: Store) -> None:
    """Everything of the task that a list needs, and of its SQL the beginning."""
    error = Error(category="User", code="SqlError", message="no such column", traceback="long")
    cancel = CancelRecord(requested_at=at(1), reason="too slow")
    sql = "SELECT '" + "é" * 2000 + "'"
    told = task(
        "a", Phase.SUCCEEDED, sql=sql, owner="ada", sources=["flights"], error=error, cancel=cancel,
        result=result(), metadata={"labels": {"team": "x"}}, execution_seconds=1.5, completed_at=at(9),
    )  # fmt: skip
    await history.record(told, None, export())
    found = (await history.search(wanted(), PageRequest())).items[0]
    assert (found.uid, found.name, found.owner, found.phase) == ("a", "task-a", "ada", Phase.SUCCEEDED)
    assert (found.sql, found.sql_length) == (sql[:1000], len(sql))
    assert found.error is not None
    assert (found.error.code, found.error.traceback) == ("SqlError", None)
    assert found.cancel == cancel
    assert (found.sources, found.metadata, found.rows) == (("flights",), {"labels": {"team": "x"}}, 2)
    assert found.export is not None
    assert (found.export.state, found.export.bytes, found.export.files) == (ExportState.AVAILABLE, 1024, ())
    assert (found.execution_seconds, found.completed_at, found.updated_at) == (1.5, at(9), at(0))


async def test_each_filter_asks_for_what_it_says(history: Store) -> None:
    """Alone; several must all hold."""
    done = {"completed_at": at(50), "execution_seconds": 1.0}
    await history.record(task("a", owner="ada", name="late-flights", sql="SELECT late FROM flights"))
    await history.record(task("b", Phase.RUNNING, owner="bob", name="late_trains", created_at=at(10)))
    await history.record(task("c", Phase.SUCCEEDED, owner="ada", created_at=at(20), **done), None, export())
    await history.record(task("d", Phase.FAILED, created_at=at(30), completed_at=at(60)))
    await history.record(task("e", namespace="other"))
    assert await ask(history) == "a b c d"
    assert await ask(history, phases=frozenset({Phase.RUNNING, Phase.FAILED})) == "b d"
    assert await ask(history, owner="ada") == "a c"
    assert await ask(history, owner="") == "d"
    assert await ask(history, export_states=frozenset({ExportState.AVAILABLE})) == "c"
    assert await ask(history, export_states=frozenset({ExportState.NOT_APPLICABLE})) == "a b d"
    assert await ask(history, name_prefix="late") == "a b"
    assert await ask(history, name_prefix="late_") == "b"
    assert await ask(history, name_prefix="%") == ""
    assert await ask(history, text="flights LATE") == "a"
    assert await ask(history, text="select") == "a b c d"
    assert await ask(history, created_since=at(10), created_until=at(30)) == "b c"
    assert await ask(history, finished_since=at(50), finished_until=at(60)) == "c"
    assert await ask(history, uids=("d", "a", "e", "nobody")) == "a d"
    assert await ask(history, uids=()) == ""
    assert await ask(history, owner="ada", phases=frozenset({Phase.QUEUED}), text="late") == "a"


@pytest.mark.parametrize(
    ("order", "ascending"),
    [
        (Order.CREATED, "a b c d"),
        (Order.UPDATED, "d c b a"),
        (Order.DURATION, "a d c b"),
        (Order.FINISHED, "a b d c"),
        (Order.NAME, "c d a b"),
    ],
)
async def test_orders(history: Store, clock: Clock, order: Order, ascending: str) -> None:
    """Each both ways; what has no duration or no end comes before what has one."""
    told = {
        "d": task("d", Phase.FAILED, created_at=at(4), completed_at=at(5), name="b"),
        "c": task("c", Phase.FAILED, created_at=at(3), completed_at=at(6), execution_seconds=1, name="a"),
        "b": task("b", created_at=at(2), execution_seconds=2.5, name="d"),
        "a": task("a", created_at=at(1), name="c"),
    }
    for seconds, record in enumerate(told.values()):
        clock.now = at(seconds)
        await history.record(record)
    up = await history.search(wanted(), PageRequest(order=order, descending=False))
    down = await history.search(wanted(), PageRequest(order=order))
    assert names(up) == ascending
    assert names(down) == ascending[::-1]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_go_there_and_back(history: Store, order: Order, descending: bool) -> None:
    """Page after page gives the whole list, and back gives the same pages; equal tasks lose nobody."""
    for number in range(7):
        await history.record(task(f"{number}", name=f"n{number % 2}", created_at=at(number % 3)))
    whole = await history.search(wanted(), PageRequest(order=order, descending=descending))
    assert (len(whole.items), whole.next, whole.previous) == (7, None, None)

    def ask(cursor: str | None) -> PageRequest:
        return PageRequest(order=order, descending=descending, limit=3, cursor=cursor)

    pages = [await history.search(wanted(), ask(None))]
    while pages[-1].next is not None:
        pages.append(await history.search(wanted(), ask(pages[-1].next)))
    assert [item for page in pages for item in page.items] == list(whole.items)
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert pages[0].previous is None
    back = pages[-1]
    for page in reversed(pages[:-1]):
        assert back.previous is not None
        back = await history.search(wanted(), ask(back.previous))
        assert back.items == page.items
    assert back.previous is None
    assert back.next is not None


async def test_offset_counts_rows(history: Store) -> None:
    """For who must; a cursor goes on from there."""
    for number in range(5):
        await history.record(task(f"{number}", created_at=at(number)))
    page = await history.search(wanted(), PageRequest(descending=False, limit=2, offset=1))
    assert names(page) == "1 2"
    assert page.previous is not None
    rest = await history.search(wanted(), PageRequest(descending=False, cursor=page.next))
    assert names(rest) == "3 4"


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (PageRequest(limit=0), "limit must be from 1 to 1000, not 0"),
        (PageRequest(limit=MAX_PAGE_SIZE + 1), "limit must be from 1 to 1000, not 1001"),
        (PageRequest(offset=MAX_OFFSET + 1), "offset must be from 0 to 10000, not 10001"),
        (PageRequest(offset=-1), "offset must be"),
        (PageRequest(cursor="x", offset=1), "must not be given together"),
    ],
)
async def test_a_page_has_bounds(history: Store, page: PageRequest, sentence: str) -> None:
    """Each refusal says what must be and shows the value."""
    with pytest.raises(QuestionRefused, match=sentence):
        await history.search(wanted(), page)


async def test_uids_have_a_bound(history: Store) -> None:
    """Of the list and of the count."""
    many = tuple(f"{number}" for number in range(MAX_UIDS + 1))
    for question in (history.search(wanted(uids=many), PageRequest()), history.count(wanted(uids=many))):
        with pytest.raises(QuestionRefused, match="at most 10000 uids may be named, not 10001"):
            await question


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\U0010ffff", "'; --", "\\"])
async def test_any_text_can_be_asked_for(history: Store, order: Order, text: str) -> None:
    """In every field that takes one: it is a text, and finds nothing."""
    await history.record(task("a"))
    for name in ("owner", "name_prefix"):
        assert await ask(history, PageRequest(order=order), **{name: text}) == ""
        assert await history.count(wanted(**{name: text})) == 0
    assert await ask(history, PageRequest(order=order), uids=(text, "a"), text="select") == "a"
    assert await history.latest("analytics", text) is None
    assert await history.get(text) is None


async def test_uids_come_as_one_page(history: Store) -> None:
    """More than a page holds, each once however often it is named, in the order that is asked for."""
    for number in range(60):
        await history.record(task(f"{number:02}", created_at=at(number)))
    uids = tuple(f"{number:02}" for number in range(60)) * 2
    page = await history.search(wanted(uids=uids), PageRequest(limit=5))
    assert [item.uid for item in page.items] == sorted(uids[:60], reverse=True)
    assert (page.next, page.previous) == (None, None)


async def test_counts_follow_the_filter(history: Store) -> None:
    """The same that a search would find."""
    for number in range(5):
        await history.record(task(f"{number}", owner="ada" if number else "bob"))
    assert await history.count(wanted()) == 5
    assert await history.count(wanted(owner="ada")) == 4
    assert await history.count(wanted(owner="ada", uids=("0", "1", "1"))) == 1
    assert await history.count(wanted(text="nothing")) == 0
    assert await history.count(wanted(name_prefix="task-1", created_until=at(1))) == 1
    assert await history.count(wanted(finished_since=at(0))) == 0
    assert await history.count(wanted(owner="ada", phases=frozenset({Phase.QUEUED, Phase.FAILED}))) == 4


async def test_the_latest_of_a_name(history: Store) -> None:
    """The newest object, whatever became of it; the older ones are found by their uid."""
    await history.record(task("new", name="same", created_at=at(9)))
    await history.record(task("old", Phase.FAILED, name="same", created_at=at(1)))
    await history.record(task("other", name="same", namespace="other", created_at=at(99)))
    assert await history.latest("analytics", "same") == "new"
    assert await history.latest("analytics", "nobody") is None


async def test_the_feed_goes_on_where_it_stopped(history: Store) -> None:
    """All steps of a namespace in the order in which they were written, each with its task."""
    assert await history.last_transition() == 0
    await history.record(task("a"), None, None, [step()])
    await history.record(task("b", namespace="other"), None, None, [step()])
    await history.record(task("a", Phase.RUNNING), None, None, [step(Phase.RUNNING, "Started")])
    first = await history.transitions_after("analytics", 0, limit=1)
    assert [(item.key.uid, item.key.name, item.transition.phase) for item in first] == [
        ("a", "task-a", Phase.QUEUED)
    ]
    rest = await history.transitions_after("analytics", first[0].transition.id or 0)
    assert [item.transition.phase for item in rest] == [Phase.RUNNING]
    assert rest[0].transition.id == await history.last_transition() == 3
    assert await history.transitions_after("analytics", 3) == []


async def test_figures_count_live_and_finished(history: Store) -> None:
    """Also those whose object is gone; the oldest that waits is one that can still be served."""
    await history.record(task("a", phase_since=at(5)))
    await history.record(task("b", phase_since=at(3)))
    await history.record(task("gone", phase_since=at(1)))
    await history.close_deleted("gone", at(9))
    await history.record(task("c", Phase.SUCCEEDED))
    await history.record(task("d", namespace="other", phase_since=at(0)))
    found = await history.figures("analytics")
    assert found.counts == {Phase.QUEUED: 2, Phase.SUCCEEDED: 1, "Deleted": 1}
    assert found.oldest_waiting == at(3)
    assert (await history.figures("nowhere")).counts == {}
