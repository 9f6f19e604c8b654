"""The engine between its query and its result: a stop that arrives there still leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from querytask_worker.engine import Engine
from querytask_worker.faults import Stopped
from querytask_worker.log import Log
from querytask_worker.registry import Registry
from tests.worker.builders import PARQUET, job


@pytest.mark.parametrize("export", [None, PARQUET], ids=["counted", "exported"])
def test_a_stop_after_the_query_and_before_the_publication_publishes_nothing(
    tmp_path: Path, log: Log, registries: list[Registry], export
):
    """The stop comes when the engine tells that the query is done, which is the last moment before its
    result.
    """
    todo = job(tmp_path, "SELECT 1 AS a", export=export)

    def tell(**fragment: dict) -> None:
        if "engine_seconds" in fragment.get("statistics", {}):
            engine.stop()

    engine = Engine(todo, tell, log)
    registries.append(engine.registry)
    with pytest.raises(Stopped):
        engine.run()
    assert engine.close() == 0
    assert todo.mailbox.published() is None
    todo.mailbox.remove_result_files()
    assert os.listdir(todo.mailbox.directory) == []


def test_a_stop_after_the_publication_changes_nothing(tmp_path: Path, log: Log, registries: list[Registry]):
    todo = job(tmp_path, "SELECT 1 AS a", export=PARQUET)
    engine = Engine(todo, lambda **fragment: None, log)
    registries.append(engine.registry)
    assert engine.run() is True
    engine.stop()
    assert engine.close() == 0
    assert todo.mailbox.published() is not None
