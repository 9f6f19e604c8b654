"""The two tables that the API writes beside the operator's: what an ``Idempotency-Key`` stands for, and who
has written what through it.

    api_keys   one row a key, until its time is over
    api_audit  one row for each write that the cluster took, for a time

The operator makes them, with all others; the API writes no other table, so the two processes never change one
row. What is over goes a few rows at a time with whatever is written next.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from querytask.adapters.store.columns import DIGEST, Moment, Words, to_millisecond
from querytask.adapters.store.schema import tables

AUDIT_KEPT = dt.timedelta(days=90)
"""How long it is known who has written."""
AT_ONCE = 100
"""How many rows whose time is over go with one write."""

keys = sa.Table(
    "api_keys",
    tables,
    sa.Column("id", DIGEST, primary_key=True),
    sa.Column("request", DIGEST, nullable=False),
    sa.Column("name", Words, nullable=False),
    sa.Column("uid", Words),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)
sa.Index("ix_api_keys_expires_at", keys.c.expires_at)

audit = sa.Table(
    "api_audit",
    tables,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("principal", Words, nullable=False),
    sa.Column("verb", Words, nullable=False),
    sa.Column("namespace", Words, nullable=False),
    sa.Column("name", Words, nullable=False),
    sa.Column("uid", Words, nullable=False),
    sa.Column("request_id", Words, nullable=False),
    sa.Column("detail", Words, nullable=False),
)
sa.Index("ix_api_audit_at", audit.c.at)
sa.Index("ix_api_audit_uid", audit.c.uid)

_INSERT_NEW = {
    "sqlite": sqlite.insert(keys).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(keys).on_conflict_do_nothing(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What one key of one caller stands for."""

    id: str
    """SHA-256 of the caller and the key, in hexadecimal: neither is kept."""
    request: str
    """The same of what was asked for."""
    name: str
    """Of the object that is made for it."""
    uid: str | None = None
    """``None`` until the object is known to be there."""
    created_at: dt.datetime
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One write that the cluster took."""

    at: dt.datetime
    principal: str
    """Who, as the cluster calls the caller."""
    verb: str
    """``create``, ``cancel`` or ``retry``."""
    namespace: str
    name: str
    uid: str
    request_id: str
    """As in the answer and in the API's log."""
    detail: str = ""
    """The reason of a cancellation, or the task that is repeated."""


class _Run(Protocol):
    def __call__(self, work: Callable[[sa.Connection], Any]) -> Awaitable[Any]: ...


class ApiTables:
    """The API's part of the history. ``write`` runs work in a transaction of the one writing connection."""

    def __init__(self, write: _Run) -> None:
        self._write = write

    async def claim(self, wanted: KeyRecord, now: dt.datetime) -> KeyRecord:
        """Take a key, durably, unless it is taken; the row as it then stands. One whose time is over is free
        again."""
        row = asdict(wanted) | {"created_at": _rounded(wanted.created_at)}
        found = await self._write(lambda connection: _claim(connection, row, now))
        return KeyRecord(**found)

    async def settle(self, claimed: KeyRecord, uid: str) -> None:
        """Note which object a key has led to."""
        await self._write(lambda connection: _settle(connection, asdict(claimed) | {"uid": uid}))

    async def release(self, claimed: KeyRecord) -> None:
        """Give a key back that has led to nothing; one that has led to an object stays."""
        mine = (keys.c.id == claimed.id, keys.c.request == claimed.request, keys.c.uid.is_(None))
        await self._write(lambda connection: connection.execute(sa.delete(keys).where(*mine)).rowcount)

    async def note(self, record: AuditRecord) -> None:
        """Keep who has written what."""
        await self._write(lambda connection: _note(connection, record))


def _claim(connection: sa.Connection, row: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    over = sa.select(keys.c.id).where(keys.c.expires_at <= now).order_by(keys.c.expires_at).limit(AT_ONCE)
    connection.execute(sa.delete(keys).where(keys.c.id.in_(over)))
    connection.execute(sa.delete(keys).where(keys.c.id == row["id"], keys.c.expires_at <= now))
    connection.execute(_INSERT_NEW[connection.dialect.name], row)
    return dict(connection.execute(sa.select(keys).where(keys.c.id == row["id"])).mappings().one())


def _settle(connection: sa.Connection, row: dict[str, Any]) -> None:
    mine = sa.update(keys).where(keys.c.id == row["id"], keys.c.request == row["request"])
    if connection.execute(mine.values(uid=row["uid"])).rowcount == 0:
        connection.execute(_INSERT_NEW[connection.dialect.name], row)


def _note(connection: sa.Connection, record: AuditRecord) -> None:
    over = (
        sa.select(audit.c.id).where(audit.c.at < record.at - AUDIT_KEPT).order_by(audit.c.at).limit(AT_ONCE)
    )
    connection.execute(sa.delete(audit).where(audit.c.id.in_(over)))
    connection.execute(sa.insert(audit), asdict(record))


def _rounded(moment: dt.datetime) -> dt.datetime:
    return to_millisecond(moment)
