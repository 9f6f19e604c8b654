"""How PostgreSQL finds what is asked for: in 20,000 tasks that it has looked at, no question reads more rows
than its answer needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from querytask.adapters.store import placing, purge, queries, rows, search, search_cursor, search_path
from querytask.adapters.store.columns import millis
from querytask.adapters.store.schema import attempts, exports, moves, tasks, transitions, versions
from querytask.adapters.store.schema import queries as texts
from querytask.adapters.store.search_cursor import Cursor
from querytask.core.listing import Order, PageRequest, TaskFilter
from querytask.names import ExportState, Phase
from tests.component.store.builders import at, attempt, export, step, task
from tests.component.store.databases import Postgresql, Questions
from tests.component.store.test_search_plans import PAIRS
from tests.kit import postgres

TASKS = 20_000
MOVED = 5000
"""Changes after all of them had become known."""
PAGE = 20
ENOUGH = 8 * (PAGE + 1)
"""Rows that a page may cost: a walk for each of several values, and what is checked beside them."""
SQL = ("SELECT carrier FROM planes", "SELECT late FROM trains", "SELECT late FROM flights")


@pytest.fixture(scope="module")
def filled(server: postgres.Server, empty_database: str) -> Iterator[sa.Connection]:
    """A reader of a history with that many tasks, of all kinds, which the server has looked at."""
    with postgres.database(server, empty_database) as name:
        place = Postgresql(server.url(name))
        engine = place.writing()
        with engine.connect() as connection, connection.begin():
            _fill(connection)
        with server.administrator(name) as administrator:
            administrator.execute("VACUUM ANALYZE")
        engine.dispose()
        reading = place.reading()
        with reading.connect() as connection:
            yield connection
        reading.dispose()


def _fill(connection: sa.Connection) -> None:
    chance = random.Random(7)
    connection.execute(sa.insert(texts), [rows.of_text(sql) for sql in SQL])
    told = [_row(number, chance) for number in range(TASKS)]
    connection.execute(sa.insert(tasks), told)
    uids = [row["uid"] for row in told]
    connection.execute(sa.insert(transitions), [rows.of_transition(step()) | {"uid": uid} for uid in uids])
    connection.execute(sa.insert(attempts), [rows.of_attempt(attempt()) | {"uid": uid} for uid in uids])
    published = [row for row in told if row["export_status"] != ExportState.NOT_APPLICABLE]
    connection.execute(
        sa.insert(exports), [rows.of_export(export()) | {"uid": row["uid"]} for row in published]
    )
    connection.execute(sa.insert(versions), [{"namespace": "analytics", "version": TASKS + MOVED}])
    words = "string_to_array(lower(sql), ' ')"
    connection.execute(
        sa.text(
            f"INSERT INTO task_words SELECT place, array_to_tsvector({words})"
            " FROM tasks JOIN queries ON hash = sql_hash"
        )
    ).close()
    kinds = {placing.UPDATED: "version", placing.DURATION: "duration", placing.FINISHED: "ended"}
    changes = [
        {"namespace": "analytics", "until_version": TASKS + 1 + index, "kind": kind, "place": row["place"]}
        | {"key": float(row[column]), "since_version": row["version"]}
        for kind, column in kinds.items()
        for index, row in enumerate(chance.sample(told, MOVED))
    ]
    connection.execute(sa.insert(moves), changes)


def _row(number: int, chance: random.Random) -> dict[str, Any]:
    sql = SQL[0] if chance.random() < 0.95 else SQL[1] if chance.random() < 0.5 else SQL[2]
    phase = chance.choices([Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED], [80, 15, 5])[0]
    record = task(
        f"uid-{number:06}", phase, sql=sql, owner=f"owner-{number % 40}", name=f"late-{number % 5000}",
        created_at=at(number // 4), completed_at=at(number // 4 + 9), phase_since=at(number),
        execution_seconds=chance.random() * 60, object_deleted_at=at(number) if number % 10 else None,
    )  # fmt: skip
    state = ExportState.AVAILABLE if chance.random() < 0.5 else ExportState.NOT_APPLICABLE
    place = placing.first_place(record.created_at) + number % 4
    return rows.of_task(record) | {
        "updated_at": at(number),
        "place": place,
        "version": number + 1,
        "moved": number + 1,
        "export_status": state.value,
    }


class Asked(Questions):
    """A reader, and how many rows each of its questions has made the server look at."""

    def looked_at(self) -> list[tuple[int, str]]:
        """The rows of each question so far, with its plan."""
        found = []
        for text, parameters in self.taken():
            explained = self.connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", parameters)
            plan = explained.scalar_one()[0]["Plan"]
            found.append((_rows(plan), f"{text}\n{plan}"))
        return found


def _rows(plan: dict[str, Any]) -> int:
    """Rows that the scans of a plan have read, those that they threw away among them."""
    mine = 0
    if "Scan" in plan["Node Type"]:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        mine = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return int(mine + sum(_rows(part) for part in plan.get("Plans", [])))


@pytest.fixture
def asked(filled: sa.Connection) -> Iterator[Asked]:
    with filled.begin():
        watched = Asked(filled)
        yield watched
        watched.stop()


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize(("order", "fields"), PAIRS)
def test_a_page_costs_its_rows(asked: Asked, order: Order, fields: dict[str, Any], descending: bool) -> None:
    """Of every documented pair: the first page, one in the middle, and the way back from it; where the words
    are rare, those that have them."""
    fields = {name: _there(name, value) for name, value in fields.items()}
    wanted = TaskFilter(namespace="analytics", **fields)
    middle = at(TASKS // 8)
    cursor = Cursor(order, descending, False, *_beside(order, middle), TASKS + MOVED)
    back = search_cursor.turned(cursor)
    for text in (None, search_cursor.encode(cursor), search_cursor.encode(back)):
        page = PageRequest(order=order, descending=descending, limit=PAGE, cursor=text)
        assert len(search.search(asked.connection, wanted, page).items) == PAGE
    enough = TASKS // 10 if "text" in fields else ENOUGH
    costs = asked.looked_at()
    assert len(costs) >= 6
    assert [cost for cost, _ in costs if cost > enough] == [], max(costs)[1]


def _there(name: str, value: Any) -> Any:
    """The filters of the table, of which here are enough rows."""
    known = {
        "owner": "owner-7",
        "created_until": at(TASKS // 4 - 100),
        "finished_until": at(TASKS // 4 - 100),
        "text": "late flights" if "flights" in str(value) else "late",
    }
    return known.get(name, value)


def _beside(order: Order, middle: Any) -> tuple[Any, int]:
    place = placing.first_place(middle)
    keys = {
        Order.CREATED: place,
        Order.UPDATED: TASKS // 2,
        Order.DURATION: 30.0,
        Order.FINISHED: millis(middle),
        Order.NAME: "late-25",
    }
    return keys[order], place


@pytest.mark.parametrize("changes", [500, 4000], ids=["few changes", "many changes"])
@pytest.mark.parametrize("order", search_path.KINDS)
def test_moves_cost_no_more_than_they_may(asked: Asked, order: Order, changes: int) -> None:
    """A list that began before so many changes: few are looked through, many are walked in their order."""
    cursor = Cursor(order, True, False, *_beside(order, at(TASKS // 8)), TASKS + MOVED - changes)
    page = PageRequest(order=order, limit=PAGE, cursor=search_cursor.encode(cursor))
    assert len(search.search(asked.connection, TaskFilter(namespace="analytics"), page).items) == PAGE
    costs = asked.looked_at()
    assert [cost for cost, _ in costs if cost > 3 * changes] == [], max(costs)[1]


QUESTIONS: dict[str, Callable[[sa.Connection], Any]] = {
    "task": lambda c: queries.task(c, "uid-000001"),
    "export": lambda c: queries.export(c, "uid-000001"),
    "transitions": lambda c: queries.steps(c, "uid-000001"),
    "find_open": lambda c: queries.find_open(c, "analytics", "late-1"),
    "present_tasks": lambda c: queries.present_tasks(c, "analytics", "uid-000100", PAGE),
    "states": lambda c: queries.states(c, ["uid-000001", "uid-000002"]),
    "ttl_due": lambda c: queries.ttl_due(c, at(0), PAGE),
    "next_ttl": queries.next_ttl,
    "latest": lambda c: queries.latest(c, "analytics", "late-1"),
    "transitions_after": lambda c: queries.transitions_after(c, "analytics", 15_000, PAGE),
    "last_transition": queries.last_transition,
    "candidates": lambda c: purge.candidates(c, at(9000), None, PAGE),
    "uids": lambda c: search.search(
        c, TaskFilter(namespace="analytics", uids=("uid-000001", "x"), text="from"), PageRequest()
    ),
    "place": lambda c: placing.next_place(c, at(5)),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_costs_its_rows(asked: Asked, name: str) -> None:
    """Those that the operator asks all day long."""
    QUESTIONS[name](asked.connection)
    costs = asked.looked_at()
    assert costs
    assert [cost for cost, _ in costs if cost > ENOUGH] == [], max(costs)[1]
