"""A page of a list as it is written: task by task, and no other than it would be at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querytask.adapters.store import CancelRecord, open_history
from querytask.core.listing import PageRequest, TaskFilter
from querytask.names import Phase
from querytask.web import tasks, views
from querytask.web.answers import written
from querytask.web.item_text import item_text
from querytask.web.listing import ListQuery
from querytask_worker.contract import Error
from tests.component.store import builders


@pytest.mark.parametrize("number", [0, 1, 3, tasks.AT_ONCE, tasks.AT_ONCE + 1])
@pytest.mark.parametrize("count", [None, 3])
async def test_a_page_is_that_of_its_view(tmp_path: Path, number: int, count: int | None) -> None:
    """Byte for byte, with texts that JSON has to escape."""
    store = await open_history(tmp_path)
    for one in range(number):
        await store.record(builders.task(f"uid-{one}", message='"items":[] \N{SNOWMAN}\n'))
    wanted = TaskFilter(namespace=builders.task("uid").namespace)
    found = await store.search(wanted, PageRequest(limit=1000), item_text)
    await store.close()
    assert len(found.items) == number
    whole = views.Page.model_construct(
        items=tuple(views.TaskItem.model_validate_json(item) for item in found.items),
        next_cursor=found.next,
        previous_cursor=found.previous,
        page=1,
        page_size=50,
        count=count,
    )
    assert tasks._written(ListQuery(), found, count) == written(whole)


async def _shown(tmp_path: Path, export: bool = False, **fields: Any) -> tuple[str, dict[str, Any]]:
    """A task as a list has it, and as it is shown by itself."""
    store = await open_history(tmp_path)
    stored = await store.record(
        builders.task("uid", **fields), builders.attempt(), builders.export() if export else None
    )
    found = await store.search(TaskFilter(namespace=stored.task.namespace), PageRequest(), item_text)
    await store.close()
    return found.items[0].decode(), json.loads(written(views.task(stored)))


@pytest.mark.parametrize(
    ("fields", "export"),
    [
        ({"phase": Phase.QUEUED, "metadata": {"labels": {"team": "a\u0301"}}}, False),
        ({"phase": Phase.SUCCEEDED, "completed_at": builders.T0, "execution_seconds": 1.25}, True),
        (
            {
                "phase": Phase.FAILED,
                "completed_at": builders.T0,
                "error": Error("User", "SqlError", 'no such "table"', "1:7", False, "Traceback"),
            },
            False,
        ),
        (
            {
                "phase": Phase.CANCELLED,
                "completed_at": builders.T0,
                "cancel": CancelRecord(
                    requested_at=builders.T0,
                    reason="by hand",
                    step="Killed",
                    finished_at=builders.T0,
                    actor="ann",
                ),
            },
            False,
        ),
    ],
)
async def test_a_task_of_a_list_is_that_of_its_page(
    tmp_path: Path, fields: dict[str, Any], export: bool
) -> None:
    """Every field that both have is the same in both, and the text is what the schema says, to the byte."""
    text, whole = await _shown(tmp_path, export, **fields)
    assert written(views.TaskItem.model_validate_json(text)).decode() == text
    listed = json.loads(text)
    if whole["error"] is not None:
        whole["error"]["traceback"] = None
    assert listed == {name: whole[name] for name in views.TaskItem.model_fields}
