"""Sources: what can be listed, and whether it is little."""

from __future__ import annotations

from pathlib import Path

import pytest

from querytask_worker import sources
from querytask_worker.contract import ExitCode
from querytask_worker.faults import Fault
from querytask_worker.places import Places
from tests.worker.builders import places


@pytest.fixture
def lake(tmp_path: Path) -> tuple[Places, Path]:
    where = places(tmp_path)
    folder = Path(where.data_dir) / "flights" / "2026"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.parquet").touch()
    return where, folder


def test_files_and_folders_are_counted_up_to_the_bound(lake):
    where, _ = lake
    assert sources.are_few(where, 5)
    assert not sources.are_few(where, 4)


def test_what_is_not_there_is_not_few(tmp_path):
    """Nothing is known of it, so nothing is kept."""
    assert not sources.are_few(Places(data_dir=str(tmp_path / "nowhere")))


def test_a_source_that_is_a_file_cannot_be_listed(lake):
    where, _ = lake
    (Path(where.data_dir) / "file").touch()
    sources.check(("flights",), where)
    with pytest.raises(Fault, match="source 'file' must be readable") as caught:
        sources.check(("flights", "file"), where)
    assert caught.value.code == ExitCode.SOURCE_UNREACHABLE
