"""Which task an ``{id}`` means, and whether the caller may see it.

Everywhere an id is a uid, or ``namespace:name`` for the newest task of that name. A uid is the history's to
answer; one so new that the operator has not written it down yet is asked of the cluster, with the caller's
token. A name is the cluster's first: the newest task of a name is the object that has it, which the history
may not know yet, though it knows an older one; only of a name that no object has the history tells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path

from querytask import errors, names
from querytask.adapters.caller import Access
from querytask.adapters.store import StoredTask, TaskRecord
from querytask.api import parse
from querytask.core import clock, sql_text
from querytask.names import Phase
from querytask.web.callers import Caller
from querytask.web.parts import Parts
from querytask.web.problems import Code, Refusal

Raw = dict[str, Any]

TaskId = Annotated[
    str,
    Path(
        alias="id",
        min_length=1,
        max_length=320,
        description="A task's uid, or `namespace:name` for the newest task of that name.",
    ),
]
MOST_PAGES = 50
"""Of tasks that no operator has looked at: thousands, each of which is looked through for one uid."""
_APART = frozenset({"sql", "owner", "parameters", "sources", "resources", "priority"})
_SUBMITTED = (
    *("uid", "namespace", "name", "created_at", "owner", "sql", "parameters", "sources", "resources", "spec"),
    *("task_type", "template", "retry_of", "priority", "metadata"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A task that the caller may see."""

    stored: StoredTask
    live: Raw | None = None
    """Its object, where the cluster was asked for it already."""

    @property
    def uid(self) -> str:
        """Its uid."""
        return self.stored.task.uid


async def find(parts: Parts, caller: Caller, given: str, verb: str = "get") -> Found:
    """The task of an id; raises a 404 where there is none or the caller may not do ``verb`` to it, a 403
    where it may do that to no task at all."""
    found = await (_by_name if ":" in given else _by_uid)(parts, caller, given)
    known = None if found is None else found.stored.task.name
    await caller.must_reach(verb, known, given)
    if found is None:
        raise Refusal(Code.TASK_NOT_FOUND, f'there is no task "{given}"', field="id", value=given)
    return found


async def live_of(caller: Caller, found: Found) -> Raw | None:
    """The object of a task that has not ended; ``None`` where it has, where the object is gone or another
    one's, and where the cluster does not tell: the history alone then speaks."""
    task = found.stored.task
    if found.stored.finished or task.object_deleted_at is not None:
        return None
    if found.live is not None:
        return found.live
    try:
        raw = await caller.cluster.get_task(task.name)
    except errors.ClusterError:
        return None
    return raw if (raw.get("metadata") or {}).get("uid") == task.uid else None


async def _by_uid(parts: Parts, caller: Caller, uid: str) -> Found | None:
    stored = await parts.store.get(uid)
    if stored is None:
        if (new := await _new_of_uid(caller, uid)) is not None:
            return new
        # The operator may have looked at it in between; then its row was there before its phase.
        stored = await parts.store.get(uid)
    return Found(stored) if stored is not None and stored.task.namespace == parts.settings.namespace else None


async def _by_name(parts: Parts, caller: Caller, given: str) -> Found | None:
    namespace, _, name = given.partition(":")
    if namespace != parts.settings.namespace or not name:
        return None
    try:
        live = await caller.cluster.get_task(name)
    except (errors.NotFound, errors.Forbidden):
        uid = await parts.store.latest(namespace, name)
        stored = await parts.store.get(uid) if uid else None
        return Found(stored) if stored else None
    stored = await parts.store.get(live["metadata"]["uid"])
    return Found(stored, live) if stored is not None else _new(live)


async def _new_of_uid(caller: Caller, uid: str) -> Found | None:
    """Among the tasks that no operator has looked at: those are few, and no other is unknown here."""
    token = ""
    for _ in range(MOST_PAGES):
        try:
            listed = await caller.cluster.list_tasks("status.phase=", token=token)
        except (errors.NotFound, errors.Forbidden):
            return None
        for raw in listed.get("items") or ():
            if raw["metadata"]["uid"] == uid:
                return _new(raw)
        token = (listed.get("metadata") or {}).get("continue") or ""
        if not token:
            return None
    raise errors.Unavailable("there are too many tasks that no operator has looked at")


async def sees(caller: Caller, name: str) -> bool:
    """Whether the caller may read the task of that name; where nobody can say so, it may not."""
    try:
        return await caller.may(Access("get")) or await caller.may(Access("get", name=name))
    except errors.ClusterError:
        return False


def as_submitted(stored: StoredTask) -> StoredTask:
    """The task without anything that became of it: what whoever has submitted it knows anyway."""
    task = stored.task
    told = {name: getattr(task, name) for name in _SUBMITTED}
    record = TaskRecord(**told, phase=Phase.QUEUED, phase_since=task.created_at)
    return StoredTask(
        task=record,
        sql_hash=stored.sql_hash,
        normal_hash=stored.normal_hash,
        updated_at=task.created_at,
        version=0,
    )


def _new(raw: Raw) -> Found:
    return Found(stored_of(raw), raw)


def stored_of(raw: Raw) -> StoredTask:
    """What the history will hold of a new object, as far as the object tells."""
    task, spec = parse.task(raw), raw["spec"]
    created = task.metadata.creation_timestamp or clock.EPOCH
    record = TaskRecord(
        uid=task.metadata.uid,
        namespace=task.metadata.namespace,
        name=task.metadata.name,
        created_at=created,
        owner=task.spec.owner or "",
        sql=task.spec.sql,
        parameters=tuple(spec.get("parameters", ())),
        sources=task.spec.sources,
        resources=spec.get("resources", {}),
        spec={key: value for key, value in spec.items() if key not in _APART},
        retry_of=names.retried_uid(task.metadata.annotations),
        priority=task.spec.priority,
        metadata={"labels": task.metadata.labels} if task.metadata.labels else {},
        phase=str((raw.get("status") or {}).get("phase") or Phase.QUEUED),
        phase_since=created,
    )
    return StoredTask(
        task=record,
        sql_hash=hashlib.sha256(record.sql.encode()).hexdigest(),
        normal_hash=sql_text.normal_hash(record.sql),
        updated_at=created,
        version=0,
    )
