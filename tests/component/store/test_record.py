"""What ``record`` writes, and what it leaves as it is."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querytask import errors
from querytask.adapters.store import CancelRecord, Store, TaskRecord
from querytask.adapters.store.records import METADATA_BYTES
from querytask.names import DELETED, CancelStep, ExportState, Phase
from querytask_worker.contract import Error
from tests.component.store.builders import Clock, at, attempt, export, result, step, task
from tests.component.store.databases import Database

EVERYTHING = task(
    owner="data-team",
    parameters=({"name": "minutes", "type": "INTEGER[]", "values": ["60", None]},),
    sources=("flights", "weather"),
    resources={"cpu": "1", "memory": "1Gi", "spill": "4Gi"},
    spec={"timeout": "30m", "retry": {"limit": 2}},
    task_type="federated",
    template="late-flights",
    retry_of="uid-0",
    priority=-5,
    metadata={"labels": {"team": "data"}},
    ttl_due_at=at(9),
    phase=Phase.FAILED,
    reason="SqlError",
    message="Parser Error",
    phase_since=at(5),
    attempt=2,
    queued_at=at(1),
    started_at=at(2),
    completed_at=at(5),
    execution_seconds=2.5,
    cancel=CancelRecord(
        requested_at=at(3), reason="no need", step=CancelStep.KILLED, finished_at=at(4), actor="jane"
    ),
    error=Error("SqlError", "syntax", "User", "1:8", retryable=False, traceback="…"),
    result=result(),
    statistics={"queueSeconds": 1.5, "peakMemoryBytes": 2**40},
    object_deleted_at=at(6),
)


async def test_comes_back_as_it_was_written(history: Store) -> None:
    """Every field of every record survives the way into the database and back."""
    tries = attempt(
        2,
        granted_at=at(1),
        started_at=at(2),
        finished_at=at(5),
        reason="SqlError",
        message="…",
        exit_code=10,
        node="n1",
        statistics={"engineSeconds": 1.25},
    )
    steps = [step(Phase.RUNNING, "Started", 2, at=at(2), message="m", source="reconcile", actor="jane")]
    stored = await history.record(EVERYTHING, tries, export(), steps)

    assert stored.task == EVERYTHING
    assert stored.attempts == (tries,)
    assert stored.export == export()
    assert await history.get("uid-1") == stored
    assert await history.transitions("uid-1") == [dataclasses.replace(steps[0], id=1)]


def test_no_field_of_a_task_is_forgotten_by_the_test_above() -> None:
    """A field that is added to a record is added to the round trip, too."""
    plain = TaskRecord(uid="", namespace="", name="", phase="", created_at=at(0))
    same = [
        item.name
        for item in dataclasses.fields(TaskRecord)
        if getattr(plain, item.name) == getattr(EVERYTHING, item.name)
    ]
    assert same == ["created_at"]


async def test_is_told_again_without_effect(history: Store, clock: Clock) -> None:
    """The same step a second time changes nothing, not even the time of the last change."""
    arguments = (EVERYTHING, attempt(), export(), [step(), step(Phase.RUNNING, "Started")])
    first = await history.record(*arguments)
    clock.now = at(60)
    assert await history.record(*arguments) == first
    assert await history.get("uid-1") == first
    assert len(await history.transitions("uid-1")) == 2


async def test_a_transition_is_told_once(history: Store) -> None:
    """The same attempt, phase and reason is one row, whatever its words and its time."""
    await history.record(task(), None, None, [step(message="first")])
    await history.record(task(), None, None, [step(message="second", at=at(9)), step(number=2)])
    told = await history.transitions("uid-1")
    assert [(item.attempt, item.message) for item in told] == [(1, "first"), (2, "")]


async def test_times_are_kept_as_written_first(history: Store) -> None:
    """No later writer moves the times of a task or an attempt."""
    await history.record(
        task(phase=Phase.RUNNING, attempt=1, queued_at=at(1), started_at=at(2)),
        attempt(granted_at=at(1), started_at=at(2)),
    )
    stored = await history.record(
        task(phase=Phase.RUNNING, attempt=1, created_at=at(50), queued_at=at(51), started_at=at(52)),
        attempt(granted_at=at(51), started_at=at(52), finished_at=at(53)),
    )
    assert (stored.task.created_at, stored.task.queued_at, stored.task.started_at) == (at(0), at(1), at(2))
    tried = stored.attempts[0]
    assert (tried.granted_at, tried.started_at, tried.finished_at) == (at(1), at(2), at(53))


async def test_a_second_attempt_starts_anew(history: Store) -> None:
    """``started_at`` is the current attempt's; the first one's stays with the first attempt."""
    await history.record(task(phase=Phase.RUNNING, attempt=1, started_at=at(2)), attempt(started_at=at(2)))
    waiting = await history.record(task(phase=Phase.QUEUED, attempt=2, reason="BackingOff"), attempt(2))
    assert waiting.task.started_at is None
    again = await history.record(
        task(phase=Phase.RUNNING, attempt=2, started_at=at(9)), attempt(2, started_at=at(9))
    )
    assert again.task.started_at == at(9)
    assert [item.started_at for item in again.attempts] == [at(2), at(9)]


@pytest.mark.parametrize("end", [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, DELETED])
@pytest.mark.parametrize("late", [*Phase, DELETED])
async def test_an_end_is_an_end(history: Store, end: str, late: str) -> None:
    """A terminal phase never becomes another, and its story is not rewritten."""
    ended = task(phase=end, reason="Completed", message="as it was", attempt=1, completed_at=at(5))
    await history.record(ended)
    stored = await history.record(
        task(phase=late, reason="Late", message="late", attempt=2, completed_at=at(6))
    )
    assert (stored.task.phase, stored.task.completed_at) == (end, at(5))
    if late != end:
        assert (stored.task.reason, stored.task.message) == ("Completed", "as it was")
    assert (await history.get("uid-1")) == stored


async def test_gaps_of_an_end_are_filled(history: Store) -> None:
    """What an end did not know yet may follow, and what it knew stays."""
    await history.record(task(phase=Phase.SUCCEEDED, reason="Completed", completed_at=at(5)))
    stored = await history.record(
        task(phase=Phase.SUCCEEDED, reason="Other", execution_seconds=2.0, result=result()), None, export()
    )
    assert (stored.task.reason, stored.task.execution_seconds) == ("Completed", 2.0)
    assert stored.task.result == result()
    assert stored.export == export()


async def test_an_object_that_lives_on_after_the_end_is_followed(history: Store) -> None:
    """Priority, labels and the time to live follow the object in every phase."""
    await history.record(task(phase=Phase.FAILED, ttl_due_at=at(9), metadata={"labels": {"a": "1"}}))
    stored = await history.record(task(phase=Phase.FAILED, ttl_due_at=None, metadata={}, priority=3))
    assert (stored.task.ttl_due_at, stored.task.metadata, stored.task.priority) == (None, {}, 3)


async def test_an_end_without_a_time_gets_the_clock(history: Store, clock: Clock) -> None:
    """``completed_at`` is what tells finished rows from open ones, so it is never missing of an end."""
    clock.now = at(7)
    stored = await history.record(task(phase=Phase.CANCELLED))
    assert stored.task.completed_at == at(7)
    assert stored.finished
    running = await history.record(task("uid-2", phase=Phase.RUNNING, completed_at=at(1)))
    assert running.task.completed_at is None


async def test_an_attempt_never_falls(history: Store) -> None:
    """A writer that still sees an earlier attempt is not believed, but for an end: that one had published."""
    await history.record(task(phase=Phase.RUNNING, attempt=2, started_at=at(9)))
    stale = await history.record(task(phase=Phase.QUEUED, attempt=1))
    assert (stale.task.phase, stale.task.attempt, stale.task.started_at) == (Phase.RUNNING, 2, at(9))
    ended = await history.record(task(phase=Phase.SUCCEEDED, attempt=1, completed_at=at(10)))
    assert (ended.task.phase, ended.task.attempt) == (Phase.SUCCEEDED, 2)


async def test_phase_since_moves_with_the_phase(history: Store, clock: Clock) -> None:
    """The oldest task of a phase is told by when it came into it, not by when it was written last."""
    await history.record(task(phase=Phase.QUEUED))
    clock.now = at(5)
    same = await history.record(task(phase=Phase.QUEUED, message="still waiting"))
    assert same.task.phase_since == at(0)
    running = await history.record(task(phase=Phase.RUNNING, phase_since=at(4)))
    assert running.task.phase_since == at(4)


async def test_a_cancellation_is_never_forgotten(history: Store) -> None:
    """When it was asked for stays; how far it has come follows."""
    await history.record(task(phase=Phase.CANCELLING, cancel=CancelRecord(requested_at=at(1), reason="why")))
    await history.record(task(phase=Phase.CANCELLING))
    done = CancelRecord(requested_at=at(2), step=CancelStep.KILLED, finished_at=at(3))
    stored = await history.record(task(phase=Phase.CANCELLED, cancel=done))
    assert stored.task.cancel == CancelRecord(
        requested_at=at(1), reason="why", step=CancelStep.KILLED, finished_at=at(3)
    )


async def test_files_that_are_gone_stay_gone(history: Store) -> None:
    """A late writer that still shows the export as available does not bring it back."""
    await history.record(task(phase=Phase.SUCCEEDED), None, export())
    await history.mark_export("uid-1", ExportState.EXPIRED, at(9))
    stored = await history.record(task(phase=Phase.SUCCEEDED), None, export())
    assert stored.export is not None
    assert (stored.export.state, stored.export.removed_at) == (ExportState.EXPIRED, at(9))


async def test_sql_is_kept_once(history: Store) -> None:
    """Tasks with the same text share it; a text that was not known at first is filled in."""
    await history.record(task("a"))
    await history.record(task("b", sql=""))
    stored = await history.record(task("b"))
    assert stored.task.sql == "SELECT 1"
    assert stored.sql_hash == (await history.record(task("a"))).sql_hash
    assert (await history.record(task("a", sql="SELECT 2"))).task.sql == "SELECT 1"


async def test_metadata_is_bounded(history: Store) -> None:
    """Of labels over 4 KiB the longest are left out, so that the row stays small and most can be found."""
    many = {f"key-{number}": "v" for number in range(100)}
    stored = await history.record(task(metadata=many | {"long": "x" * METADATA_BYTES}))
    assert stored.task.metadata == many


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(max_size=200) | st.just("NUL \0 and \ud800 half a character"),
    number=st.floats() | st.integers(-(2**70), 2**70),
)
def test_any_text_and_number_can_be_written(database: Database, text: str, number: float) -> None:
    """Whatever people and workers write lands in the row: NUL bytes, any script, half characters, NaN."""

    async def write() -> None:
        history = await database.open(Clock())
        try:
            uid = uuid.uuid4().hex
            fields: dict[str, Any] = {"sql": text, "message": text, "metadata": {"labels": text[:50]}}
            stored = await history.record(task(uid, **fields, statistics={"n": number}))
            read = await history.get(uid)
            assert read is not None
            nul = "\ufffd" if database.dialect == "postgresql" else "\0"
            assert read.task.message == text.encode("utf-8", "replace").decode().replace("\0", nul)
            assert read.sql_hash == stored.sql_hash
            kept = read.task.statistics["n"]
            assert kept == number or (kept is None and not math.isfinite(number))
        finally:
            await history.close()

    asyncio.run(write())


async def test_a_text_with_nul_is_told_again_without_effect(history: Store) -> None:
    """Also where the database has no place for one."""
    error = Error("SqlError", "a\0b", "User", "1:8", traceback="\0")
    told = task(sql="SELECT '\0'", message="\0", error=error, metadata={"labels": {"a": "\0"}})
    arguments = (told, attempt(message="\0"), export(), [step(reason="a\0"), step(reason="a\0", message="b")])
    first = await history.record(*arguments)
    assert await history.record(*arguments) == first == await history.get("uid-1")
    assert len(await history.transitions("uid-1")) == 1


async def test_a_number_over_64_bits_is_refused(history: Store) -> None:
    """As an error of the history, of this record alone; nothing of it is written."""
    with pytest.raises(errors.StoreError, match="over 64 bits"):
        await history.record(task(), None, export(bytes=2**63))
    assert await history.get("uid-1") is None


async def test_a_time_without_a_zone_is_refused(history: Store) -> None:
    """It would be another time on another machine; and the others that write at that moment do not suffer."""
    naive = at(0).replace(tzinfo=None)
    answers = await asyncio.gather(
        history.record(task("good-1")),
        history.record(task("bad", created_at=naive)),
        history.record(task("good-2")),
        return_exceptions=True,
    )
    assert isinstance(answers[1], ValueError)
    assert await history.get("bad") is None
    assert [key.uid for key in await history.open_tasks("analytics")] == ["good-1", "good-2"]
