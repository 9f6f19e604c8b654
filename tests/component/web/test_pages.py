"""A page of a list as it is written: task by task, and no other than it would be at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from querytask.adapters.store import open_history
from querytask.core.listing import PageRequest, TaskFilter
from querytask.web import tasks, views
from querytask.web.answers import written
from querytask.web.listing import ListQuery
from tests.component.store import builders


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("count", [None, 3])
async def test_a_page_is_that_of_its_view(tmp_path: Path, number: int, count: int | None) -> None:
    """Byte for byte, with texts that JSON has to escape."""
    store = await open_history(tmp_path)
    for one in range(number):
        await store.record(builders.task(f"uid-{one}", message='"items":[] \N{SNOWMAN}\n'))
    found = await store.search(TaskFilter(namespace=builders.task("uid").namespace), PageRequest())
    await store.close()
    assert len(found.items) == number
    whole = views.Page.model_construct(
        items=tuple(views.item(item) for item in found.items),
        next_cursor=found.next,
        previous_cursor=found.previous,
        page=1,
        page_size=50,
        count=count,
    )
    assert tasks._written(ListQuery(), found, count) == written(whole)
