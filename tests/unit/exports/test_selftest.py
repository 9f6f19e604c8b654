"""What a volume must be able to do, tried at the start."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from querytask import errors
from querytask.adapters.exports import ExportsVolume, paths
from tests.unit.exports.builders import NAMESPACE, UID, assignment


async def test_a_good_volume_passes_and_is_left_clean(root: Path, volume: ExportsVolume) -> None:
    """As often as it is asked."""
    await volume.check()
    await volume.check()
    assert os.listdir(root) == [paths.TRASH]
    assert os.listdir(root / paths.TRASH) == []


async def test_a_volume_that_is_not_there(tmp_path: Path) -> None:
    """Is refused with a sentence, and so is a file in its place."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        volume = ExportsVolume(path)
        with pytest.raises(errors.ExportsVolumeError, match="must be a directory that can be read"):
            await volume.check()
        volume.close()


@pytest.fixture
def mount(root: Path) -> Iterator[Path]:
    """The volume as a small file system of its own."""
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "tmpfs", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    yield root
    subprocess.run(["umount", "--lazy", str(root)], check=True)


async def test_a_volume_that_is_read_only(mount: Path, volume: ExportsVolume) -> None:
    """Is refused, and whoever writes later hears the same fault."""
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)  # noqa: ASYNC221 - in a test
    with pytest.raises(errors.ExportsVolumeError, match="must be writable") as caught:
        await volume.check()
    assert caught.value.fault == "ReadOnly"
    with pytest.raises(errors.ExportsVolumeError, match="is read-only: preparing") as caught:
        await volume.prepare(NAMESPACE, UID, 1, assignment())
    assert caught.value.fault == "ReadOnly"


async def test_a_volume_that_is_full(mount: Path, volume: ExportsVolume) -> None:
    """The fault is named; and removing works, for that is what makes room."""
    await volume.prepare(NAMESPACE, UID, 1, assignment())
    ballast = mount / NAMESPACE / UID / "1" / "big.parquet"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(errors.ExportsVolumeError, match="is full: preparing") as caught:
        await volume.prepare(NAMESPACE, UID, 2, assignment(attempt=2))
    assert caught.value.fault == "Full"
    assert os.listdir(mount / NAMESPACE / UID / "2") == []
    space = await volume.space()
    assert (space.free, space.total) == (0, 64 * 1024)
    removed = await volume.remove_task(NAMESPACE, UID)
    assert (await volume.space()).free >= removed.bytes > 32 * 1024
    await volume.check()
