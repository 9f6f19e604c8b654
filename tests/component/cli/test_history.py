"""The commands of administrators about the history, on a real one."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from querytask.adapters.store import TaskRecord, open_history, prepare_history
from querytask.cli import history as command
from tests.component.store.test_faults import ENVIRONMENT

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


async def written(directory: Path, uid: str) -> None:
    store = await open_history(directory)
    await store.record(TaskRecord(uid=uid, namespace="n", name=uid, phase="Queued", created_at=NOW))
    await store.close()


async def found(directory: Path) -> list[str]:
    await prepare_history(directory, lambda: NOW)
    store = await open_history(directory)
    try:
        return [key.uid for key in await store.open_tasks("n")]
    finally:
        await store.close()


def run(directory: Path, *arguments: str, given: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """One command; its exit code and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    settings = {"QUERYTASK_HISTORY_DIR": str(directory)} | environment
    code = command.main(arguments, settings, io.BytesIO(given), out, err)
    return code, out.getvalue(), err.getvalue()


async def test_a_backup_can_be_made_listed_checked_and_restored(tmp_path: Path) -> None:
    """The whole round, by the name of the backup."""
    await written(tmp_path, "before")
    code, out, err = run(tmp_path, "backup")
    assert (code, err) == (0, "")
    path = Path(out.strip())
    assert re.fullmatch(r"history-\d{8}T\d{6}Z\.db", path.name)
    assert run(tmp_path, "list") == (0, f"{path.name}  {os.stat(path).st_size} bytes\n", "")
    assert f"{path} is sound" in run(tmp_path, "check", path.name)[1]
    await written(tmp_path, "after")
    assert f"{tmp_path / 'history.db'} is sound" in run(tmp_path, "check")[1]
    assert run(tmp_path, "restore", path.name)[0] == 0
    assert await found(tmp_path) == ["before"]


async def test_a_copy_can_come_from_elsewhere(tmp_path: Path) -> None:
    """Through standard input; nothing of it is left beside what is staged."""
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
    await written(there, "elsewhere")
    copy = Path(run(there, "backup")[1].strip())
    await written(here, "mine")
    assert run(here, "restore", "-", given=copy.read_bytes())[0] == 0  # noqa: ASYNC240 - a small file
    assert sorted(name for name in os.listdir(here) if "history.db." in name) == ["history.db.restore"]
    assert await found(here) == ["elsewhere"]


async def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    """On standard error, with exit code 1, and nothing is changed."""
    await written(tmp_path, "mine")
    for arguments, given, sentence in [
        (("restore", "nowhere.db"), b"", "nowhere.db must be a file"),
        (("restore", "-"), b"no database " * 1000, "is damaged"),
        (("check", "nowhere.db"), b"", "nowhere.db"),
        (("--directory", str(tmp_path / "nowhere"), "backup"), b"", "cannot be written"),
    ]:
        code, out, err = run(tmp_path, *arguments, given=given)
        assert (code, out) == (1, "")
        assert sentence in err
    assert await found(tmp_path) == ["mine"]


async def test_so_many_are_kept_as_the_operator_keeps(tmp_path: Path) -> None:
    """The setting of the container counts; where it makes none, the one that was asked for stays."""
    await written(tmp_path, "mine")
    folder = tmp_path / "backups"
    folder.mkdir()
    for day in (1, 2):
        (folder / f"history-2020010{day}T000000Z.db").write_bytes(b"")
    made = Path(run(tmp_path, "backup", QUERYTASK_BACKUPS_KEPT="2")[1].strip())
    assert sorted(os.listdir(folder)) == ["history-20200102T000000Z.db", made.name]
    made = Path(run(tmp_path, "backup", QUERYTASK_BACKUPS_KEPT="0")[1].strip())
    assert os.listdir(folder) == [made.name]


def test_it_is_a_command(tmp_path: Path) -> None:
    """As it is typed into the container."""
    asyncio.run(written(tmp_path, "mine"))
    environment = ENVIRONMENT | {"QUERYTASK_HISTORY_DIR": str(tmp_path)}
    line = [sys.executable, "-m", "querytask.cli.history"]
    done = subprocess.run([*line, "backup"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path}/backups/history-")
    assert subprocess.run([*line, "undo"], env=environment, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("name", ["backup", "list", "check", "restore"])
def test_every_command_is_explained(name: str) -> None:
    """In the module's own text, which is what the reference of the command is."""
    assert f"querytask.cli.history {name}" in (command.__doc__ or "")
