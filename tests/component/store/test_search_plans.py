"""How lists are found: each documented pair by an index alone, every other one within its time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store import (
    Store,
    placing,
    rows,
    search,
    search_cursor,
    search_filter,
    search_path,
    steps,
)
from querytask.adapters.store.schema import queries as texts
from querytask.adapters.store.schema import tasks, versions
from querytask.adapters.store.search_cursor import Cursor
from querytask.core.listing import MAX_UIDS, Order, PageRequest, TaskFilter
from querytask.names import ExportState, Phase
from tests.component.store.builders import at, task
from tests.component.store.databases import Database, Plans, Sqlite

CREATED = {"created_since": at(1), "created_until": at(90)}
FINISHED = {"finished_since": at(1), "finished_until": at(90)}
PAIRS: list[tuple[Order, dict[str, Any]]] = [
    (Order.CREATED, {}),
    (Order.CREATED, CREATED),
    (Order.CREATED, {"owner": "ada"}),
    (Order.CREATED, {"owner": "ada", **CREATED}),
    (Order.CREATED, {"phases": frozenset({Phase.FAILED})}),
    (Order.CREATED, {"phases": frozenset({Phase.FAILED, Phase.CANCELLED, "Deleted"}), **CREATED}),
    (Order.CREATED, {"export_states": frozenset({ExportState.AVAILABLE})}),
    (Order.CREATED, {"export_states": frozenset({ExportState.AVAILABLE, ExportState.EXPIRED})}),
    (Order.CREATED, {"text": "late flights"}),
    (Order.CREATED, {"text": "late", **CREATED}),
    (Order.UPDATED, {}),
    (Order.DURATION, {}),
    (Order.FINISHED, {}),
    (Order.FINISHED, FINISHED),
    (Order.NAME, {}),
    (Order.NAME, {"name_prefix": "late"}),
]
"""Those of the table in ``search_path``."""
OTHERS: list[tuple[Order, dict[str, Any]]] = [
    (Order.UPDATED, {"owner": "ada"}),
    (Order.DURATION, {"text": "late", "phases": frozenset({Phase.FAILED})}),
    (Order.CREATED, {"name_prefix": "late", "owner": "ada"}),
    (Order.NAME, {**FINISHED, **CREATED, "export_states": frozenset({ExportState.AVAILABLE})}),
]


@pytest.fixture
def asked(directory: Path) -> Iterator[Plans]:
    engine = Sqlite(directory).writing()
    with engine.connect() as connection, connection.begin():
        for number in range(5):
            told = task(f"{number}", Phase.FAILED, owner="ada", sql="SELECT late FROM flights")
            steps.record(connection, steps.Step(told), at(number))
        yield Plans(connection)
    engine.dispose()


def test_every_filter_and_every_order_has_a_pair() -> None:
    """Each stands in the table at least once, and what is in the table is one of the pairs of the code."""
    assert {order for order, _ in PAIRS} == set(Order)
    wanted = [TaskFilter(namespace="analytics", **fields) for _, fields in PAIRS]
    assert {kind for item in wanted for kind in search_filter.given(item)} == set(search_filter.Kind)
    assert all(search_path.is_pair(order, item) for (order, _), item in zip(PAIRS, wanted, strict=True))
    others = [(order, TaskFilter(namespace="analytics", **fields)) for order, fields in OTHERS]
    assert not any(search_path.is_pair(order, item) for order, item in others)


def test_the_pairs_are_documented() -> None:
    """The table that people read names what the code holds an index for."""
    page = Path(__file__).parents[3] / "docs" / "decisions" / "0024-how-lists-are-found.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    told = {line.split("`")[1]: set(re.findall("`([a-z_]+)`", line.split("|")[2])) for line in lines}
    in_code = {
        order.value: {
            field
            for kind in {*search_path.PAIRS[order], *filter(None, [search_path.PART.get(order)])}
            for field in kind.value.split(", ")
        }
        for order in Order
    }
    assert told == in_code


@pytest.mark.parametrize("changes", [2, search_path.FEW_CHANGES + 2], ids=["few changes", "many changes"])
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize(("order", "fields"), PAIRS)
def test_a_pair_needs_no_scan_and_no_sort(
    asked: Plans, order: Order, fields: dict[str, Any], descending: bool, changes: int
) -> None:
    """The first page, the ones after it, also when tasks have moved meanwhile, and the way back. Only moves
    are sorted, where these are few."""
    wanted = TaskFilter(namespace="analytics", **fields)

    def ask(cursor: str | None = None) -> Any:
        page = PageRequest(order=order, descending=descending, limit=1, cursor=cursor)
        return search.search(asked.connection, wanted, page)

    first = ask()
    asked.connection.execute(sa.update(versions).values(version=3 + changes))
    place = placing.first_place(at(30))
    beside = Cursor(order, descending, False, "m" if order is Order.NAME else 30.0, place, 3)
    if order is Order.CREATED:
        beside = Cursor(order, descending, False, place, place)
    back = search_cursor.turned(beside)
    ask(search_cursor.encode(beside))
    ask(search_cursor.encode(back))
    plans = asked.plans()
    assert first is not None
    assert plans
    sorts = [line for line in plans if not _quick(line)]
    few_moves = order in search_path.KINDS and changes <= search_path.FEW_CHANGES
    assert sorts == (["USE TEMP B-TREE FOR ORDER BY"] * 2 if few_moves else [])


@pytest.mark.parametrize("order", Order)
def test_uids_are_looked_up(asked: Plans, order: Order) -> None:
    """Each by itself, whatever else the filter says."""
    wanted = TaskFilter(namespace="analytics", uids=("1", "2"), owner="ada")
    assert len(search.search(asked.connection, wanted, PageRequest(order=order)).items) == 2
    first = asked.plans()[0]
    assert first == "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (uid=?)"


def test_words_of_uids_are_asked_for_once(asked: Plans) -> None:
    """In one walk along the index of words: to search it for each of ten thousand takes ten seconds where a
    million tasks have the word."""
    wanted = TaskFilter(namespace="analytics", uids=("1", "2"), text="late")
    assert len(search.search(asked.connection, wanted, PageRequest()).items) == 2
    words = [line for line in asked.plans() if "task_words" in line or "CORRELATED" in line]
    assert len(words) == 1
    assert words[0].startswith("SCAN task_words VIRTUAL TABLE INDEX")


@pytest.mark.parametrize("span", [(None, None), (10, None), (None, 20), (10, 20)])
@pytest.mark.parametrize("key", [None, 5, 15, 25])
@pytest.mark.parametrize("down", [True, False])
def test_each_side_has_one_bound(asked: Plans, span: tuple[Any, Any], key: int | None, down: bool) -> None:
    """Of two, the planner would search by one and check the other on each row between them. What is left is
    the part of the order that lies beyond the cursor."""
    cursor = None if key is None else Cursor(Order.CREATED, True, not down, key, key)
    arm = search_path.Arm((tasks,), tasks.c.place, tasks.c.place, (), "ix_tasks_place", span)
    bounds = list(search_path.Beyond(cursor, down).within(arm))
    sides = [str(bound).split()[1] for bound in bounds]
    assert len({side[0] for side in sides}) == len(sides)
    values = range(1, 31)
    least, end = (0 if span[0] is None else span[0]), (99 if span[1] is None else span[1])
    expected = [
        value
        for value in values
        if least <= value < end and (key is None or (value < key if down else value > key))
    ]
    condition = sa.and_(sa.true(), *bounds).compile(compile_kwargs={"literal_binds": True})
    found = f"WITH tasks(place) AS (VALUES {', '.join(f'({value})' for value in values)})"
    rows_found = asked.connection.exec_driver_sql(f"{found} SELECT place FROM tasks WHERE {condition}")
    assert list(rows_found.scalars()) == expected


def _quick(line: str) -> bool:
    """Found in an index, walked along the index of words, or the merge of such."""
    words = line.startswith("SCAN task_words VIRTUAL TABLE INDEX")
    return line.startswith("SEARCH ") or words or line in {"MERGE (UNION ALL)", "LEFT", "RIGHT"}


@pytest.mark.parametrize(("order", "fields"), OTHERS)
def test_few_rows_are_gathered(asked: Plans, order: Order, fields: dict[str, Any]) -> None:
    """Another pair whose filter leaves few rows costs these rows, not a walk along the order."""
    search.search(asked.connection, TaskFilter(namespace="analytics", **fields), PageRequest(order=order))
    plans = asked.plans()
    assert any("LIST SUBQUERY" in line for line in plans)
    assert not any(line.startswith("SCAN tasks") for line in plans)


async def test_many_rows_are_walked(database: Database, history: Store) -> None:
    """Beyond that the order is walked and each row checked: the answer is the same."""
    number = 2 * search_path.FEW + 10
    fill(database, number)
    wanted = TaskFilter(namespace="analytics", owner="ada", phases=frozenset({Phase.FAILED}))
    found = await history.search(wanted, PageRequest(order=Order.UPDATED, limit=3))
    assert [item.uid for item in found.items] == [f"uid-{number - index:05}" for index in (1, 3, 5)]
    assert await history.count(wanted) == number // 2


async def test_the_words_of_many_uids_are_asked_for_at_once(database: Database, history: Store) -> None:
    """Ten thousand named tasks with words: the index of words is walked once, and not searched for each."""
    fill(database, MAX_UIDS + 10)
    uids = tuple(f"uid-{index:05}" for index in range(MAX_UIDS))
    named = TaskFilter(namespace="analytics", uids=uids, text="select 1", owner="ada")
    assert await history.count(named) == MAX_UIDS // 2  # within the time of any count
    assert await history.count(TaskFilter(namespace="analytics", uids=uids, text="select 2")) == 0
    page = await history.search(named, PageRequest(order=Order.NAME, descending=False))
    assert [item.uid for item in page.items] == list(uids[1::2])


async def test_a_list_that_takes_too_long_is_ended(database: Database) -> None:
    """It says what to do; the reader is free for the next one, which answers."""
    fill(database, 2 * search_path.FEW + 10)
    slow = TaskFilter(namespace="analytics", owner="ada", phases=frozenset({Phase.CANCELLED}))
    impatient = await database.open(search_seconds=0)
    with pytest.raises(errors.StoreTooSlow, match="within 0 s, and this pair of filter and order"):
        await impatient.search(slow, PageRequest(order=Order.UPDATED))
    with pytest.raises(errors.StoreTooSlow):
        await impatient.count(TaskFilter(namespace="analytics"))
    assert (await impatient.get("uid-00001")) is not None
    await impatient.close()
    patient = await database.open()
    assert (await patient.search(slow, PageRequest(order=Order.UPDATED))).items == ()
    await patient.close()


def fill(database: Database, number: int) -> None:
    """That many tasks: one half of an owner's, which failed, and one half of another's, which were
    cancelled."""
    engine = database.writing()
    row = rows.of_task(task(phase=Phase.FAILED, owner="ada", phase_since=at(0), completed_at=at(0)))
    several = [
        row
        | {"uid": f"uid-{index:05}", "place": index, "version": index, "updated_at": at(0)}
        | ({} if index % 2 else {"owner": "bob", "phase": Phase.CANCELLED})
        for index in range(number)
    ]
    with engine.connect() as connection, connection.begin():
        connection.execute(sa.insert(texts), rows.of_text("SELECT 1"))
        connection.execute(sa.insert(tasks), several)
        placing.next_version(connection, "analytics")
        connection.execute(sa.update(versions).values(version=number))
        if database.dialect == "postgresql":
            words = "INSERT INTO task_words SELECT place, array_to_tsvector(ARRAY['select', '1']) FROM tasks"
            connection.execute(sa.text(words)).close()
            connection.execute(sa.text("ANALYZE")).close()
    engine.dispose()
