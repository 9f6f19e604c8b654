"""The commands of administrators about the history, on a real one."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from querytask.adapters.store import TaskRecord, open_database, open_history, prepare_history
from querytask.cli import history as command
from tests.component.store.weather import ENVIRONMENT
from tests.kit.postgres import PASSWORD, Server, database

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL for the copies."""
    with Server() as made:
        yield made


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    with database(server) as name:
        yield server.url(name)


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
    return run_in(directory, environment, *arguments, given=given)


def run_in(
    directory: Path, environment: dict[str, str], *arguments: str, given: bytes = b""
) -> tuple[int, str, str]:
    """One command with those variables."""
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


@pytest.mark.parametrize("name", ["backup", "list", "check", "restore", "copy"])
def test_every_command_is_explained(name: str) -> None:
    """In the module's own text, which is what the reference of the command is."""
    assert f"querytask.cli.history {name}" in (command.__doc__ or "")


# PostgreSQL


@pytest.mark.parametrize("arguments", [["backup"], ["list"], ["check"], ["restore", "-"]])
async def test_what_is_for_a_file_is_refused_for_a_database(tmp_path: Path, arguments: list[str]) -> None:
    """With what to use instead, and without the password; a directory that is named is meant."""
    await written(tmp_path, "mine")
    before = sorted(os.listdir(tmp_path))
    url = f"postgresql://querytask:{PASSWORD.replace('/', '%2F')}@db/history"
    code, out, err = run(tmp_path, *arguments, QUERYTASK_HISTORY_URL=url)
    assert (code, out) == (1, "")
    assert f"{arguments[0]} is for a history in an SQLite file" in err
    assert "postgresql://querytask@db/history: back it up with pg_dump and restore it with pg_restore" in err
    assert sorted(os.listdir(tmp_path)) == before
    named = run(tmp_path, "--directory", str(tmp_path), "check", QUERYTASK_HISTORY_URL=url)
    assert (named[0], named[2]) == (0, "")


@pytest.mark.parametrize("given", ["environment", "file"])
async def test_a_history_is_copied(tmp_path: Path, url: str, given: str) -> None:
    """Told how far it is, and how much there was; the file stays as it is, and a second copy is refused."""
    for uid in ("one", "two"):
        await written(tmp_path, uid)
    secret = tmp_path / "url"
    secret.write_text(url + "\n")
    how = (
        ((), {"QUERYTASK_HISTORY_URL": url}) if given == "environment" else (("--url-file", str(secret)), {})
    )
    code, out, err = run_in(tmp_path, how[1], "copy", *how[0])
    assert (code, err) == (0, "")
    first, *_, last = out.splitlines()
    assert re.fullmatch(
        rf"From {tmp_path}/history.db to postgresql://querytask@127.0.0.1:\d+/test_\d+", first
    )
    assert re.search(r"^tasks +2$", out, re.MULTILINE)
    assert last.startswith("Every table has the same rows on both sides")
    store = await open_database(url)
    assert sorted(key.uid for key in await store.open_tasks("n")) == ["one", "two"]
    await store.close()
    assert sorted(await found(tmp_path)) == ["one", "two"]
    code, out, err = run_in(tmp_path, how[1], "copy", *how[0])
    assert code == 1
    assert "must hold nothing yet" in err
    assert PASSWORD not in out + err


async def test_a_copy_that_cannot_be_made_is_said(tmp_path: Path, url: str, server: Server) -> None:
    """Which URL, which file, which server; without a password."""
    await written(tmp_path, "mine")
    gone = url.replace(f":{server.port}/", ":1/")
    for arguments, environment, sentence in [
        ((), {}, "QUERYTASK_HISTORY_URL must be the URL of the database, or --url-file name its file"),
        (("--url-file", "/nowhere"), {}, "/nowhere must be a file with the database's URL"),
        (
            (),
            {"QUERYTASK_HISTORY_URL": f"mysql://u:{PASSWORD}@db/x"},
            "QUERYTASK_HISTORY_URL must be a URL such",
        ),
        ((), {"QUERYTASK_HISTORY_URL": gone}, "cannot be reached"),
    ]:
        code, _, err = run_in(tmp_path, environment, "copy", *arguments)
        assert code == 1
        assert sentence in err
        assert PASSWORD not in err
        assert url.split(":")[2].split("@", maxsplit=1)[0] not in err


def test_a_url_is_no_argument(tmp_path: Path, url: str) -> None:
    """Every process would see it."""
    with pytest.raises(SystemExit) as refused:
        run(tmp_path, "copy", url)
    assert refused.value.code == 2
