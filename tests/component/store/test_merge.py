"""The rules by which records join, for every order in which they may be told."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from querytask.adapters.store import TaskRecord, merge
from querytask.names import DELETED, ExportState, Phase
from tests.component.store.builders import at, attempt, export, task

moments = st.integers(0, 100).map(at)
maybe = st.none() | moments
records = st.builds(
    lambda phase, attempt, queued, started, completed, priority: task(
        phase=phase,
        attempt=attempt,
        queued_at=queued,
        started_at=started,
        completed_at=completed,
        priority=priority,
    ),
    st.sampled_from([*Phase, DELETED]),
    st.integers(0, 3),
    maybe,
    maybe,
    maybe,
    st.integers(-2, 2),
)


def joined(told: list[TaskRecord]) -> list[TaskRecord]:
    rows: list[TaskRecord] = []
    for record in told:
        rows.append(merge.task(rows[-1] if rows else None, record, at(0)))
    return rows


@given(st.lists(records, min_size=1, max_size=6))
def test_rows_only_move_forward(told: list[TaskRecord]) -> None:
    """Whatever is told: an end stays, an attempt never falls, times stay, and only ends have
    ``completed_at``."""
    rows = joined(told)
    for before, after in itertools.pairwise(rows):
        assert after.attempt >= before.attempt
        assert before.queued_at is None or after.queued_at == before.queued_at
        if merge.terminal(before.phase):
            assert (after.phase, after.completed_at) == (before.phase, before.completed_at)
    for row in rows:
        assert merge.terminal(row.phase) == (row.completed_at is not None)


@given(st.lists(records, min_size=1, max_size=6))
def test_telling_twice_is_telling_once(told: list[TaskRecord]) -> None:
    """A step that is repeated after a crash finds its row as it is to be."""
    row = joined(told)[-1]
    assert merge.task(row, row, at(99)) == row
    once = merge.task(row, told[-1], at(0))
    assert merge.task(once, told[-1], at(99)) == once


def test_what_is_known_of_an_attempt_is_not_forgotten() -> None:
    """A later writer that knows less leaves what is known; a zero is knowledge."""
    known = attempt(node="n1", exit_code=0, reason="Completed", started_at=at(1))
    assert merge.attempt(known, attempt(pod_name="")) == known
    assert merge.attempt(attempt(), known) == known


def test_a_preview_expires_without_becoming_an_export() -> None:
    """Nothing was exported, so nothing is said to have expired; but its folder is known to be gone."""
    preview = merge.removed(export(state=ExportState.NOT_APPLICABLE), ExportState.EXPIRED, at(5))
    assert (preview.state, preview.removed_at) == (ExportState.NOT_APPLICABLE, at(5))
    again = merge.removed(preview, ExportState.DELETED, at(6))
    assert again == preview
