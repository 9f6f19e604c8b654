"""A volume in a folder of its own, and beside it something that must never be touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from querytask.adapters.exports import ExportsVolume


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "exports"
    path.mkdir()
    return path


@pytest.fixture
def volume(root: Path) -> Iterator[ExportsVolume]:
    volume = ExportsVolume(root)
    yield volume
    volume.close()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the volume with a file in it; both are looked at again when the test is over."""
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o751)
    (folder / "secret").write_text("root:x:0:0")
    (folder / "secret").chmod(0o604)
    yield folder
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert (folder / "secret").read_text() == "root:x:0:0"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "secret")] == [0o751, 0o604]
