"""Whatever is written between two pages, every task that was there throughout comes exactly once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querytask.adapters.store import Store, TaskSummary, placing, schema, search, steps
from querytask.adapters.store.records import GONE
from querytask.adapters.store.schema import tasks
from querytask.core.listing import Order, Page, PageRequest, QuestionRefused, TaskFilter
from querytask.names import DELETED, ExportState, Phase
from tests.component.store.builders import at, export, task
from tests.component.store.databases import Database, Postgresql, Sqlite

FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "several phases": {"phases": frozenset({Phase.QUEUED, Phase.RUNNING, Phase.SUCCEEDED})},
    "owner": {"owner": "ada"},
    "words": {"text": "late"},
    "name": {"name_prefix": "n1"},
    "export states": {"export_states": frozenset({ExportState.AVAILABLE, ExportState.NOT_APPLICABLE})},
    "created": {"created_since": at(2), "created_until": at(6)},
    "owner and phase": {"owner": "ada", "phases": frozenset({Phase.QUEUED, Phase.RUNNING})},
}
FOREVER = {"owner": "ada", "sql": "SELECT late"}


class World:
    """A history that is written and listed by turns, and what was in it all the time."""

    def __init__(self, connection: sa.Connection, chance: random.Random, wanted: TaskFilter) -> None:
        self.connection, self.chance, self.wanted = connection, chance, wanted
        self.number = 0
        self.seconds = 100.0
        self.throughout: set[str] = set()
        for _ in range(chance.randint(0, 14)):
            self.insert()

    def begin(self) -> None:
        """From here on it is watched who is there."""
        self.throughout = self.matching()

    def matching(self) -> set[str]:
        asked = PageRequest(limit=1000)
        return {item.uid for item in search.search(self.connection, self.wanted, asked).items}

    def disturb(self) -> None:
        """A few writes of any kind."""
        for _ in range(self.chance.randint(0, 4)):
            changes = (self.update, self.update, self.finish, self.vanish, self.expire)
            self.chance.choice((self.insert, *changes, self.purge))()
            self.throughout &= self.matching()

    def insert(self) -> None:
        self.number += 1
        owner = self.chance.choice(["ada", "bob"])
        sql = self.chance.choice(["SELECT late", "SELECT early"])
        name = f"n{self.chance.randint(0, 2)}"
        created = at(self.chance.randint(0, 8))
        self.write(task(f"{self.number:03}", owner=owner, sql=sql, name=name, created_at=created))

    def update(self) -> None:
        if uid := self.some(tasks.c.completed_at.is_(None) | (tasks.c.phase == DELETED)):
            self.write(self.known(uid, Phase.RUNNING, message=str(self.seconds)))

    def finish(self) -> None:
        if uid := self.some(tasks.c.completed_at.is_(None)):
            took = self.chance.choice([None, 0.0, 1.5, 2.5])
            told = self.known(
                uid, Phase.SUCCEEDED, execution_seconds=took, completed_at=at(self.seconds // 4)
            )
            self.write(told, export() if self.chance.random() < 0.5 else None)

    def vanish(self) -> None:
        if uid := self.some(tasks.c.completed_at.is_(None)):
            steps.close_deleted(self.connection, uid, at(self.seconds), GONE, at(self.seconds))

    def expire(self) -> None:
        if uid := self.some(tasks.c.export_status == ExportState.AVAILABLE):
            steps.mark_export(self.connection, uid, ExportState.EXPIRED, at(self.seconds))

    def purge(self) -> None:
        if uid := self.some(sa.true()):
            self.connection.execute(sa.delete(tasks).where(tasks.c.uid == uid))

    def known(self, uid: str, phase: str, **fields: Any) -> Any:
        row = self.connection.execute(sa.select(tasks).where(tasks.c.uid == uid)).mappings().one()
        return task(uid, phase, name=row["name"], created_at=row["created_at"], sql="", **fields)

    def write(self, told: Any, exported: Any = None) -> None:
        self.seconds += self.chance.choice([0, 0.5, 1])
        steps.record(self.connection, steps.Step(told, None, exported), at(self.seconds))

    def some(self, condition: sa.ColumnElement[bool]) -> str | None:
        uids = self.connection.execute(sa.select(tasks.c.uid).where(condition)).scalars().all()
        return self.chance.choice(sorted(uids)) if uids else None


@pytest.fixture(scope="module")
def engine(dialect: str, request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    if dialect == "sqlite":
        folders: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        place: Database = Sqlite(folders.mktemp("paging"))
    else:
        server = request.getfixturevalue("server")
        place = Postgresql(server.url(server.create()))
    engine = place.writing()
    with engine.connect() as connection, connection.begin():
        schema.tables.create_all(connection)
    yield engine
    engine.dispose()


def pages(ask: Callable[[str | None], Page[TaskSummary]], start: str | None, way: str) -> Iterator[list[str]]:
    """The uids of each page, from ``start`` on, ``next`` or ``previous``."""
    cursor = start
    while True:
        page = ask(cursor)
        yield [item.uid for item in page.items]
        cursor = getattr(page, way)
        if cursor is None:
            return


@pytest.mark.parametrize("order", Order)
@settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(FILTERS)), seed=st.integers(0, 2**32), descending=st.booleans())
def test_each_comes_once(engine: sa.Engine, order: Order, name: str, seed: int, descending: bool) -> None:
    """There: from the first page to the last. And back: from the last one to the first."""
    chance = random.Random(seed)
    with engine.connect() as connection, connection.begin() as transaction:
        world = World(connection, chance, TaskFilter(namespace="analytics", **FILTERS[name]))
        last: list[Page[TaskSummary]] = []

        def ask(cursor: str | None) -> Page[TaskSummary]:
            limit = chance.randint(1, 4)
            request = PageRequest(order=order, descending=descending, limit=limit, cursor=cursor)
            last.append(search.search(connection, world.wanted, request))
            world.disturb()
            return last[-1]

        world.begin()
        there = Counter(uid for page in pages(ask, None, "next") for uid in page)
        assert {uid: there[uid] for uid in world.throughout} == dict.fromkeys(world.throughout, 1)
        assert set(there.values()) <= {1}

        world.throughout &= {item.uid for page in last for item in page.items}
        end = last[-1]
        back = Counter(item.uid for item in end.items)
        if end.previous is not None:
            back.update(uid for page in pages(ask, end.previous, "previous") for uid in page)
        assert {uid: back[uid] for uid in world.throughout} == dict.fromkeys(world.throughout, 1)
        assert set(back.values()) <= {1}
        transaction.rollback()


@pytest.mark.parametrize("order", Order)
async def test_pages_beside_a_busy_writer(database: Database, order: Order) -> None:
    """The same through the store itself, with its own writer and readers at work at the same time."""
    history = await database.open()
    stable = [f"stable-{number:02}" for number in range(30)]
    for uid in stable:
        await history.record(task(uid))
    stopped = asyncio.Event()
    writing = asyncio.create_task(_write(history, stable, stopped))
    try:
        found: Counter[str] = Counter()
        cursor = None
        while True:
            request = PageRequest(order=order, limit=3, cursor=cursor)
            page = await history.search(TaskFilter(namespace="analytics"), request)
            found.update(item.uid for item in page.items)
            if (cursor := page.next) is None:
                break
        assert {uid: found[uid] for uid in stable} == dict.fromkeys(stable, 1)
    finally:
        stopped.set()
        await writing
        await history.close()


async def _write(history: Store, uids: list[str], stopped: asyncio.Event) -> None:
    number = 0
    while not stopped.is_set() and number < 200:
        uid = uids[number * 7 % len(uids)]
        number += 1
        done = number % 3 == 0
        told = task(uid, Phase.SUCCEEDED, execution_seconds=number) if done else task(uid, Phase.RUNNING)
        await history.record(told)
        await history.record(task(f"new-{number}"))


def test_an_old_list_is_refused(engine: sa.Engine) -> None:
    """When more has changed than is kept, a list cannot be told as it was: a sentence says what to do."""
    with engine.connect() as connection, connection.begin() as transaction:
        for number in range(3):
            steps.record(connection, steps.Step(task(f"{number}")), at(number))
        wanted = TaskFilter(namespace="analytics")
        request = PageRequest(order=Order.UPDATED, limit=1)
        cursor = search.search(connection, wanted, request).next
        later = PageRequest(order=Order.UPDATED, limit=1, cursor=cursor)
        connection.execute(sa.update(schema.versions).values(version=3 + placing.KEPT_CHANGES))
        assert len(search.search(connection, wanted, later).items) == 1
        connection.execute(sa.update(schema.versions).values(version=4 + placing.KEPT_CHANGES))
        with pytest.raises(QuestionRefused, match="begin at the first page, or order by created"):
            search.search(connection, wanted, later)
        transaction.rollback()


def test_old_moves_are_forgotten(engine: sa.Engine) -> None:
    """Only as many are kept as a list may outlast, so that they do not grow with the history."""
    with engine.connect() as connection, connection.begin() as transaction:
        steps.record(connection, steps.Step(task("a")), at(0))
        for number in range(20):
            steps.record(connection, steps.Step(task("a", message=f"{number}")), at(number))
        count = sa.select(sa.func.count()).select_from(schema.moves)
        assert connection.execute(count).scalar() == 20
        connection.execute(sa.update(schema.versions).values(version=placing.KEPT_CHANGES + 31))
        steps.record(connection, steps.Step(task("a", message="last")), at(99))
        assert connection.execute(count).scalar() == 1
        transaction.rollback()
