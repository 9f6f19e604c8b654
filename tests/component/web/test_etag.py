"""What may still change of a task that has ended changes its ETag, though it is no step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from querytask.adapters.store import Store, open_history
from querytask.names import ExportState, Phase
from querytask.web import views
from querytask.web.answers import etag, written
from tests.component.store import builders


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A history of one task that has exported a file."""
    made = await open_history(tmp_path)
    record = builders.task("uid-1", Phase.SUCCEEDED, completed_at=builders.at(1), result=builders.result())
    await made.record(record, attempt=builders.attempt(), export=builders.export())
    yield made
    await made.close()


async def tag(store: Store, *, present: bool = True) -> str:
    """What ``GET /tasks/{id}`` would say that it stands for."""
    found = await store.get("uid-1")
    assert found is not None
    return etag(written(views.task(found, None, present)))


@pytest.mark.parametrize("state", [ExportState.EXPIRED, ExportState.DELETED])
async def test_the_end_of_an_export_changes_the_etag(store: Store, state: str):
    """Whether its time was over or somebody removed it."""
    before = await tag(store)
    steps = await store.last_transition()
    await store.mark_export("uid-1", state, builders.at(5))
    assert await tag(store) != before
    assert await store.last_transition() == steps


async def test_a_file_that_is_missing_changes_the_etag(store: Store):
    """Before the operator has noticed."""
    assert await tag(store) != await tag(store, present=False)


async def test_the_deletion_of_the_object_changes_the_etag(store: Store):
    """And the version with it; the end stays what it was."""
    before, steps = await tag(store), await store.last_transition()
    known = await store.get("uid-1")
    found = await store.close_deleted("uid-1", builders.at(5))
    assert found is not None
    assert known is not None
    assert found.version > known.version
    assert await tag(store) != before
    assert await store.last_transition() == steps
