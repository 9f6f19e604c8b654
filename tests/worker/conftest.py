"""Fixtures of the worker's tests: an engine in this process, a worker in its own, and the check that no
registry leaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from querytask_worker.contract import Manifest
from querytask_worker.engine import Engine
from querytask_worker.faults import Fault
from querytask_worker.log import Log
from querytask_worker.registry import Registry
from tests.worker.builders import WorkerProcess, assignment, job


@pytest.fixture
def lines() -> list[bytes]:
    """The lines that were logged."""
    return []


@pytest.fixture
def log(lines: list[bytes]) -> Log:
    return Log(lines.append)


@pytest.fixture(autouse=True)
def registries() -> Iterator[list[Registry]]:
    """Every registry that a test makes; none may hold an entry when the test is over."""
    made: list[Registry] = []
    yield made
    assert [registry.get_active_count() for registry in made] == [0] * len(made)


@pytest.fixture
def registry(log: Log, registries: list[Registry]) -> Iterator[Registry]:
    made = Registry(log)
    registries.append(made)
    yield made
    made.close()


@dataclass
class Ran:
    """What an engine in this process did."""

    manifest: Manifest | None
    fault: Fault | None
    told: list[dict]
    directory: Path

    @property
    def rows(self) -> tuple[str, ...]:
        assert self.fault is None, self.fault
        assert self.manifest is not None
        return self.manifest.preview.rows

    @property
    def types(self) -> list[str]:
        assert self.manifest is not None
        return [column.type for column in self.manifest.columns]


@pytest.fixture
def run(
    tmp_path: Path, log: Log, registries: list[Registry], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Run one assignment in this process, with a real DuckDB under its lock-down, and check for leaks."""
    number = 0

    def run(sql: str, **fields: object) -> Ran:
        nonlocal number
        number += 1
        root = tmp_path / f"run{number}"
        root.mkdir()
        todo = job(root, sql, **fields)
        if (tmp_path / "data").is_dir():
            (root / "data").rmdir()
            (root / "data").symlink_to(tmp_path / "data")
        monkeypatch.chdir(todo.places.data_dir)
        told: list[dict] = []
        engine = Engine(todo, lambda **fragment: told.append(fragment), log)
        registries.append(engine.registry)
        fault = None
        try:
            engine.run()
        except Fault as error:
            fault = error
        assert engine.close() == 0
        return Ran(todo.mailbox.published(), fault, told, Path(todo.mailbox.directory))

    return run


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Make worker processes; those that still run at the end of the test are killed."""
    made: list[WorkerProcess] = []

    def worker(
        sql: str, *, environ: dict[str, str] | None = None, root: Path | None = None, **fields: object
    ) -> WorkerProcess:
        process = WorkerProcess(root or tmp_path, assignment(sql, **fields), environ or {})
        made.append(process)
        return process

    yield worker
    for process in made:
        if hasattr(process, "process"):
            process.process.kill()
            process.process.communicate()  # of one that has ended, too: a test may have failed before it did
