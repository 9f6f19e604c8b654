"""What the API writes beside the operator: keys that stand for one request, and who has written what."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from querytask.adapters.store import AuditRecord, KeyRecord, Store
from querytask.adapters.store.api_tables import AT_ONCE, AUDIT_KEPT
from tests.component.store.builders import T0, at
from tests.component.store.databases import Database

DAY = 86_400


def key(number: int = 1, **fields: object) -> KeyRecord:
    """A key of one day."""
    values = {"request": "asked", "name": f"q-{number}", "created_at": T0, "expires_at": at(DAY)} | fields
    return KeyRecord(id=f"key-{number}", **values)  # type: ignore[arg-type]


def audit(number: int, moment: dt.datetime = T0) -> AuditRecord:
    """A write."""
    return AuditRecord(
        at=moment,
        principal="alice",
        verb="cancel",
        namespace="x",
        name="n",
        uid=f"uid-{number}",
        request_id="r",
    )


@pytest.fixture
async def beside(history: Store, database: Database) -> AsyncIterator[Store]:
    """The history as the API opens it, while the operator has it open."""
    store = await database.open(migrating=False)
    yield store
    await store.close()


def rows(database: Database, table: str) -> list[dict[str, object]]:
    engine = database.reading()
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]
    finally:
        engine.dispose()


async def test_a_key_is_taken_once(beside: Store) -> None:
    """Whoever comes second gets what the first one has claimed, whatever they wanted of it."""
    first = await beside.api.claim(key(), T0)
    second = await beside.api.claim(key(request="other", name="q-other"), at(1))

    assert first == second == key()


async def test_a_settled_key_leads_to_its_object(beside: Store) -> None:
    """Also where its row had been given back meanwhile."""
    claimed = await beside.api.claim(key(), T0)
    await beside.api.settle(claimed, "uid-1")
    await beside.api.release(claimed)
    assert (await beside.api.claim(key(), at(1))).uid == "uid-1"

    other = await beside.api.claim(key(2), T0)
    await beside.api.release(other)
    await beside.api.settle(other, "uid-2")
    assert (await beside.api.claim(key(2), at(1))).uid == "uid-2"


async def test_what_was_asked_for_later_is_not_overwritten(beside: Store) -> None:
    """A key that was given back and taken for something else keeps what it then stood for."""
    early = await beside.api.claim(key(), T0)
    await beside.api.release(early)
    late = await beside.api.claim(key(request="other"), at(1))
    await beside.api.settle(early, "uid-1")

    assert await beside.api.claim(key(), at(2)) == late


async def test_a_key_whose_time_is_over_is_free(beside: Store) -> None:
    """Even where more than a few wait to go."""
    for number in range(AT_ONCE + 5):
        await beside.api.claim(key(number, expires_at=at(DAY + number)), T0)
    last = key(AT_ONCE + 4)
    again = dataclasses.replace(last, name="q-new", created_at=at(2 * DAY), expires_at=at(3 * DAY))

    assert await beside.api.claim(again, at(2 * DAY)) == again


async def test_keys_go_when_their_time_is_over(beside: Store, database: Database) -> None:
    """With the next one."""
    await beside.api.claim(key(1), T0)
    await beside.api.claim(key(2, expires_at=at(3 * DAY)), at(DAY))

    assert [row["id"] for row in rows(database, "api_keys")] == ["key-2"]


async def test_who_has_written_is_known_for_a_time(beside: Store, database: Database) -> None:
    """Then it goes with the next write."""
    await beside.api.note(audit(1))
    await beside.api.note(audit(2, T0 + AUDIT_KEPT))
    assert [row["uid"] for row in rows(database, "api_audit")] == ["uid-1", "uid-2"]
    await beside.api.note(audit(3, T0 + AUDIT_KEPT + dt.timedelta(milliseconds=1)))

    found = rows(database, "api_audit")

    assert [row["uid"] for row in found] == ["uid-2", "uid-3"]
    assert (found[0]["principal"], found[0]["verb"]) == ("alice", "cancel")


async def test_the_tables_are_there_for_both(database: Database) -> None:
    """The operator has made them; the history is one."""
    assert rows(database, "api_keys") == rows(database, "api_audit") == []
