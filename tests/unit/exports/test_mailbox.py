"""What is read of a mailbox, and what is believed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querytask import errors
from querytask.adapters.exports import Damaged, ExportsVolume, Mailbox
from querytask.adapters.exports.reading import LOG_BYTES, MANIFEST_BYTES, OUTCOME_BYTES, PROGRESS_BYTES
from querytask_worker import contract
from querytask_worker.contract import Column, Error, ExitCode, File, Preview, Statistics, Stop
from tests.unit.exports.builders import NAMESPACE, UID, manifest, outcome, progress, put, task_directory, text


def write(root: Path, **messages: Any) -> None:
    directory = task_directory(root)
    (directory / "1").mkdir(parents=True, exist_ok=True)
    paths = {
        "manifest": directory / contract.MANIFEST_FILE,
        "outcome": directory / "1" / contract.OUTCOME_FILE,
        "progress": directory / "1" / contract.PROGRESS_FILE,
        "log": directory / "1" / contract.LOG_FILE,
    }
    for name, message in messages.items():
        put(paths[name], message)


def why(message: Any) -> str:
    assert isinstance(message, Damaged), message
    return message.why


async def test_every_message_comes_back(root: Path, volume: ExportsVolume) -> None:
    """As the worker wrote it, in one go."""
    full = manifest(
        columns=(Column("carrier", "VARCHAR"),),
        preview=Preview(('["UA",18446744073709551615]',), True),
        statistics=Statistics(0.1, 2.5, 0.3, 2**30, 0),
        owner="data-team",
    )
    stopped = outcome(
        exit_code=ExitCode.STOPPED,
        reason="Stopped",
        error=Error("SqlError", "no\0pe", "User", "3:14"),
        stop=Stop("Killed", text(0.5), text(0.9)),
    )
    write(root, manifest=full, outcome=stopped, progress=progress())
    assert await volume.read(NAMESPACE, UID, 1) == Mailbox(full, stopped, progress())
    assert await volume.read(NAMESPACE, UID, None) == Mailbox(full)
    assert await volume.read(NAMESPACE, UID, 2) == Mailbox(full)


async def test_what_is_not_there_is_none(root: Path, volume: ExportsVolume) -> None:
    """A missing message, attempt, directory or namespace is no error; a missing volume is."""
    assert await volume.read("nowhere", UID, 1) == Mailbox()
    assert await volume.read(NAMESPACE, UID, 1) == Mailbox()
    write(root, outcome=outcome())
    assert await volume.read(NAMESPACE, UID, 1) == Mailbox(outcome=outcome())
    lost = ExportsVolume(root / "not mounted")
    with pytest.raises(errors.ExportsVolumeError, match="reading analytics/"):
        await lost.read(NAMESPACE, UID, 1)
    lost.close()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"uid": UID.replace("0", "1")}, "another task's"),
        ({"namespace": "other"}, "another task's"),
        ({"attempt": 0}, "attempt's number"),
        ({"attempt": 2**70}, "over 64 bits"),
        ({"rows": -1}, "negative"),
        ({"expires_at": "tomorrow"}, "a time that is none"),
        ({"expires_at": "2026-01-01T00:00:00"}, "a time that is none"),
        ({"published_at": "0000-00-00T00:00:00Z"}, "a time that is none"),
        ({"files": (File("../../other/1/late.parquet", 1, 1, "a" * 64),)}, "lists a file"),
        ({"files": (File("/etc/passwd", 1, 1, "a" * 64),)}, "lists a file"),
        ({"files": (File("..", 1, 1, "a" * 64),)}, "lists a file"),
        ({"files": (File("x" * 256, 1, 1, "a" * 64),)}, "lists a file"),
        ({"files": (File("late.parquet", 1, 1, "no hash"),)}, "lists a file"),
        (
            {"files": (File("a", 2**62, 1, "a" * 64), File("b", 2**62, 1, "a" * 64))},
            "more bytes than there are",
        ),
        ({"format": "Excel"}, "a format that there is not"),
        ({"statistics": Statistics(engine_seconds=float("nan"))}, "not finite"),
        ({"statistics": Statistics(engine_seconds=float("inf"))}, "not finite"),
    ],
)
async def test_a_manifest_must_be_this_tasks_own(
    root: Path, volume: ExportsVolume, changes: dict[str, Any], word: str
) -> None:
    """Every value that would go on into status and history is looked at first."""
    write(root, manifest=manifest(**changes))
    assert word in why((await volume.read(NAMESPACE, UID, 1)).manifest)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({"outcome": outcome(attempt=2)}, "another attempt's"),
        ({"outcome": outcome(finished_at="soon")}, "a time that is none"),
        ({"outcome": outcome(exit_code=-9)}, "negative"),
        ({"outcome": outcome(stop=Stop("Killed", "then", text(1)))}, "a time that is none"),
        ({"outcome": outcome(error=Error("SqlError", "m", "User", "here"))}, "a position that is none"),
        ({"progress": progress(attempt=2)}, "another attempt's"),
        ({"progress": progress(percent=101)}, "more than 100 percent"),
        ({"progress": progress(updated_at="")}, "a time that is none"),
    ],
)
async def test_an_attempt_must_speak_for_itself(
    root: Path, volume: ExportsVolume, message: dict[str, Any], word: str
) -> None:
    """What does not make sense is damaged, and the other messages are read all the same."""
    write(root, **{"outcome": outcome(), "progress": progress()} | message)
    found = await volume.read(NAMESPACE, UID, 1)
    name = next(iter(message))
    assert word in why(getattr(found, name))
    assert [isinstance(found.outcome, Damaged), isinstance(found.progress, Damaged)].count(True) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"uid": 1' + b"0" * 5000 + b"}",
        b"root:x:0:0",
    ],
    ids=["empty", "cut", "list", "null", "nothing", "no UTF-8", "deep", "long number", "no JSON"],
)
async def test_nonsense_is_damaged(root: Path, volume: ExportsVolume, content: bytes) -> None:
    """Never an error, which would keep the task from being reconciled; and no content is shown."""
    write(root, manifest=content, outcome=content, progress=content)
    found = await volume.read(NAMESPACE, UID, 1)
    for message in (found.manifest, found.outcome, found.progress):
        assert "root:" not in why(message)


async def test_content_is_never_shown(root: Path, volume: ExportsVolume) -> None:
    """A sentence about a damaged file goes into status and log; what the file holds may be anybody's
    secret."""
    write(root, manifest=b'{"namespace": {"password": "hunter2"}, "uid": "hunter2"}')
    assert "hunter2" not in why((await volume.read(NAMESPACE, UID, 1)).manifest)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        (contract.MANIFEST_FILE, MANIFEST_BYTES),
        (f"1/{contract.OUTCOME_FILE}", OUTCOME_BYTES),
        (f"1/{contract.PROGRESS_FILE}", PROGRESS_BYTES),
    ],
)
async def test_size_is_bounded(root: Path, volume: ExportsVolume, name: str, most: int) -> None:
    """Ten sparse gigabytes are refused by their size, before a byte is read."""
    write(root)
    path = task_directory(root) / name
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    started = time.monotonic()
    found = await volume.read(NAMESPACE, UID, 1)
    assert time.monotonic() - started < 1
    damaged = [message for message in (found.manifest, found.outcome, found.progress) if message]
    assert [f"at most {most} bytes, not {10 * 2**30}" in why(message) for message in damaged] == [True]


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, outside: Path) -> None:
    path.mkdir()


def link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "secret")


def link_to_device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path, outside: Path) -> None:
    path.symlink_to("nowhere")


def second_name(path: Path, outside: Path) -> None:
    os.link(outside / "secret", path)


def listening(path: Path, outside: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(path.name)
    os.chdir(here)


HOSTILE = [pipe, folder, link, link_to_device, dangling, second_name, listening]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
async def test_only_files_are_read(root: Path, volume: ExportsVolume, outside: Path, make: Any) -> None:
    """Whatever else lies under the name: it does not block, is not followed, and is damaged."""
    write(root)
    directory = task_directory(root)
    for path in (
        directory / contract.MANIFEST_FILE,
        directory / "1" / contract.OUTCOME_FILE,
        directory / "1" / contract.PROGRESS_FILE,
        directory / "1" / contract.LOG_FILE,
    ):
        make(path, outside)
    found = await asyncio.wait_for(volume.read(NAMESPACE, UID, 1), 5)
    for message in (found.manifest, found.outcome, found.progress):
        assert "root:" not in why(message)
    log = await asyncio.wait_for(volume.read_log(NAMESPACE, UID, 1), 5)
    assert log is None or make is second_name


@pytest.mark.parametrize("depth", ["namespace", "task", "attempt"])
async def test_no_folder_is_followed(root: Path, volume: ExportsVolume, outside: Path, depth: str) -> None:
    """A link in the place of a folder counts as nothing there, although there would be messages behind it."""
    elsewhere = root.parent / "elsewhere"
    put(task_directory(elsewhere) / contract.MANIFEST_FILE, manifest())
    put(task_directory(elsewhere) / "1" / contract.OUTCOME_FILE, outcome())
    place = {"namespace": (NAMESPACE,), "task": (NAMESPACE, UID), "attempt": (NAMESPACE, UID, "1")}[depth]
    root.joinpath(*place).parent.mkdir(parents=True, exist_ok=True)
    root.joinpath(*place).symlink_to(elsewhere.joinpath(*place))
    assert await volume.read(NAMESPACE, UID, 1) == Mailbox()
    assert await volume.directory(NAMESPACE, UID) is None or depth == "attempt"


@pytest.mark.parametrize(
    ("namespace", "uid", "attempt"),
    [
        ("..", UID, 1),
        ("a/b", UID, 1),
        (".trash", UID, 1),
        (NAMESPACE, "../x", 1),
        (NAMESPACE, "", 1),
        (NAMESPACE, UID, 0),
    ],
)
async def test_no_name_leads_elsewhere(volume: ExportsVolume, namespace: str, uid: str, attempt: int) -> None:
    """What no cluster can have given is refused by every call before the volume is touched."""
    with pytest.raises(ValueError, match="must be"):
        await volume.remove_attempt(namespace, uid, attempt)
    with pytest.raises(ValueError, match="must be"):
        await volume.remove_partials(namespace, uid, attempt)
    if attempt:
        with pytest.raises(ValueError, match="must be"):
            await volume.read(namespace, uid, attempt)
        with pytest.raises(ValueError, match="must be"):
            await volume.remove_task(namespace, uid)


async def test_the_end_of_a_log_is_read(root: Path, volume: ExportsVolume) -> None:
    """Of a long one the tail, as text whatever its bytes."""
    write(root, log=b"start" + b"x" * LOG_BYTES + b"\xffend")
    found = await volume.read_log(NAMESPACE, UID, 1)
    assert found is not None
    assert found.endswith("\N{REPLACEMENT CHARACTER}end")
    assert len(found) == LOG_BYTES
    assert await volume.read_log(NAMESPACE, UID, 2) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.sampled_from([item.name for item in dataclasses.fields(manifest())]), value=json)
def test_any_manifest_is_read_or_damaged(root: Path, name: str, value: Any) -> None:
    """One value of a good manifest replaced by any other: the answer is a manifest that is sound, or a
    sentence."""
    from json import dumps, loads

    from querytask.adapters.exports import paths, reading
    from querytask.core import clock

    good = loads(contract.dump(manifest()))
    head, *tail = name.split("_")
    good["".join([head, *(word.capitalize() for word in tail)])] = value
    write(root, manifest=dumps(good).encode())
    with paths.opened(root, NAMESPACE, UID) as task:
        found = reading.manifest(task, NAMESPACE, UID)
    if isinstance(found, Damaged):
        assert found.why.startswith(contract.MANIFEST_FILE)
    else:
        assert found is not None
        assert (found.uid, found.namespace) == (UID, NAMESPACE)
        assert 0 <= found.rows < 2**63
        clock.parse(found.expires_at)
