"""Creates a task once, however often a caller asks: what an ``Idempotency-Key`` promises.

The order of writes is the row of the key, the object, the row again. The object's name follows from caller
and key, and its label says what was asked for; so a crash between any two of them, and the loss of the rows,
lead the next try to the same object:

    no row, no object       as if nobody had asked
    a row, no object        the object is made under the name of the row
    a row, the object       it is found by its name, in the history where it has been deleted since
    no row, the object      the same: the label tells whose it is
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header

from querytask import errors, names
from querytask.adapters.store import KeyRecord, StoredTask
from querytask.web.callers import Caller
from querytask.web.parts import Parts
from querytask.web.problems import Code, Refusal

log = logging.getLogger(__name__)
Raw = dict[str, Any]

KEPT = dt.timedelta(hours=24)
"""How long a key stands for its task; and as long as that one's object is there."""
PREFIX_CHARACTERS = 40
_REFUSED = (errors.Invalid, errors.Forbidden, errors.Unauthenticated, errors.TooManyRequests, errors.NotFound)
"""After these it is known that nothing was made, and the key is free."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Makes the call safe to repeat: for 24 hours, and as long as the task's object is there,"
        " the same key with the same body leads to the same task. Take a new one, such as a UUID, each time.",
    ),
]


@dataclass(frozen=True, slots=True)
class Created:
    """The task that a request has led to."""

    raw: Raw | None
    """Its object, where it was seen; it is there whenever ``stored`` is not."""
    stored: StoredTask | None
    new: bool
    """Whether this request has made it."""


async def create(parts: Parts, caller: Caller, verb: str, body: Raw, key: str | None) -> Created:
    """Create the object ``body`` in the caller's name, once for a key. Raises ``Refusal`` for a key that
    stands for something else, and what the cluster answers."""
    if key is None:
        return Created(await _post(caller, body), None, new=True)
    now = parts.clock()
    wanted = _wanted(parts, caller, verb, body, key, now)
    # Before the key is taken: what cannot be made into an object must leave it free.
    marked = _marked(body, wanted)
    row = await parts.store.api.claim(wanted, now)
    if row.request != wanted.request:
        raise _reused(key)
    if row.uid is not None:
        return await _known(parts, caller, row.uid, row.name)
    if row.created_at != _millisecond(now) and (earlier := await _in_history(parts, row)) is not None:
        await _settle(parts, row, earlier.task.uid)
        return Created(None, earlier, new=False)
    return await _make(parts, caller, _named(marked, row.name), row, key)


async def _make(parts: Parts, caller: Caller, marked: Raw, row: KeyRecord, key: str) -> Created:
    try:
        made = Created(await _post(caller, marked), None, new=True)
    except errors.AlreadyExists:
        raw = await _adopted(parts, caller, row, key)
        made = Created(raw, await parts.store.get(raw["metadata"]["uid"]), new=False)
    except _REFUSED:
        await _release(parts, row)
        raise
    assert made.raw is not None
    await _settle(parts, row, made.raw["metadata"]["uid"])
    return made


async def _adopted(parts: Parts, caller: Caller, row: KeyRecord, key: str) -> Raw:
    """The object of that name, if it was made for this key and this body."""
    raw = await caller.cluster.get_task(row.name)
    told = str((raw["metadata"].get("labels") or {}).get(names.REQUEST_LABEL, ""))
    if told == _label(row):
        return raw
    await _release(parts, row)
    if told.partition(".")[0] == _label(row).partition(".")[0]:
        raise _reused(key)
    raise errors.AlreadyExists(f'a task called "{row.name}" is there already', 409)


async def _known(parts: Parts, caller: Caller, uid: str, name: str) -> Created:
    stored = await parts.store.get(uid)
    if stored is not None:
        return Created(None, stored, new=False)
    raw = await caller.cluster.get_task(name)
    if raw["metadata"]["uid"] != uid:
        raise errors.NotFound("the task that this Idempotency-Key stands for is gone", 404)
    return Created(raw, None, new=False)


async def _in_history(parts: Parts, row: KeyRecord) -> StoredTask | None:
    """The task that an earlier try has made, which may have been deleted since."""
    uid = await parts.store.latest(parts.settings.namespace, row.name)
    stored = await parts.store.get(uid) if uid else None
    if stored is None:
        return None
    labels = stored.task.metadata.get("labels") or {}
    return stored if labels.get(names.REQUEST_LABEL) == _label(row) else None


async def _post(caller: Caller, body: Raw) -> Raw:
    return await caller.cluster.create_task(body, manager=manager(caller))


async def _settle(parts: Parts, row: KeyRecord, uid: str) -> None:
    # The task is there, and its name leads to it: a history that is away now makes the answer no other.
    try:
        await parts.store.api.settle(row, uid)
    except errors.StoreError as error:
        log.warning("A key could not be noted as settled: %s", error)


async def _release(parts: Parts, row: KeyRecord) -> None:
    try:
        await parts.store.api.release(row)
    except errors.StoreError as error:
        log.warning("A key could not be given back: %s", error)


def manager(caller: Caller) -> str:
    """Who owns the fields that the caller writes through the API, so that the history can tell who it was."""
    text = f"{names.API_MANAGER}:{caller.principal.username}"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown.encode("utf-8", "replace")[:128].decode("utf-8", "ignore")


def _wanted(parts: Parts, caller: Caller, verb: str, body: Raw, key: str, now: dt.datetime) -> KeyRecord:
    digest = _digest(parts.settings.namespace, caller.principal.username, key)
    metadata = body["metadata"]
    prefix = str(metadata.get("generateName", ""))[:PREFIX_CHARACTERS]
    return KeyRecord(
        id=digest,
        request=_digest(verb, body),
        name=str(metadata.get("name") or f"{prefix}{digest[:16]}"),
        created_at=_millisecond(now),
        expires_at=now + KEPT,
    )


def _marked(body: Raw, row: KeyRecord) -> Raw:
    """The object with the label that tells whose it is."""
    metadata = {name: value for name, value in body["metadata"].items() if name != "generateName"}
    labels = {**(metadata.get("labels") or {}), names.REQUEST_LABEL: _label(row)}
    return body | {"metadata": metadata | {"name": row.name, "labels": labels}}


def _named(body: Raw, name: str) -> Raw:
    """The object under the name that the key has promised, which an earlier release may have chosen."""
    return body | {"metadata": body["metadata"] | {"name": name}}


def _label(row: KeyRecord) -> str:
    return f"{row.id[:32]}.{row.request[:28]}"


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _millisecond(moment: dt.datetime) -> dt.datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _reused(key: str) -> Refusal:
    detail = "the Idempotency-Key was used before with another body; take a new key for another request"
    return Refusal(Code.KEY_REUSED, detail, field="Idempotency-Key", value=key)
