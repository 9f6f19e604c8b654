"""What an absent field stands for, where another field decides it."""

import pytest

from querytask.api import parse, resolve
from querytask.api.task_spec import Compression, Export, Format


def task(name="late-flights", **export):
    return parse.task({"metadata": {"name": name}, "spec": {"sql": "SELECT 1", "export": export}})


@pytest.mark.parametrize(
    ("form", "given", "resolved"),
    [
        (Format.PARQUET, None, Compression.ZSTD),
        (Format.CSV, None, Compression.UNCOMPRESSED),
        (Format.JSON, None, Compression.UNCOMPRESSED),
        (Format.PARQUET, Compression.LZ4, Compression.LZ4),
        (Format.CSV, Compression.GZIP, Compression.GZIP),
    ],
)
def test_compression(form, given, resolved):
    """Zstd for Parquet, none for text, unless the task says otherwise."""
    assert resolve.compression(Export(format=form, compression=given)) is resolved


@pytest.mark.parametrize(
    ("export", "name"),
    [
        ({}, "late-flights.parquet"),
        ({"compression": "Gzip"}, "late-flights.parquet"),
        ({"format": "CSV"}, "late-flights.csv"),
        ({"format": "CSV", "compression": "Gzip"}, "late-flights.csv.gz"),
        ({"format": "JSON", "compression": "Zstd"}, "late-flights.json.zst"),
        ({"fileName": "a"}, "a.parquet"),
        ({"fileName": "a.parquet"}, "a.parquet"),
        ({"fileName": "a.csv"}, "a.csv.parquet"),
        ({"fileName": "a.csv", "format": "CSV", "compression": "Gzip"}, "a.csv.gz"),
        ({"fileName": "a.csv.gz", "format": "CSV", "compression": "Gzip"}, "a.csv.gz"),
        ({"fileName": "a.csv.gz", "format": "CSV"}, "a.csv.gz.csv"),
        ({"fileName": "späte Flüge", "format": "JSON"}, "späte Flüge.json"),
    ],
)
def test_file_name(export, name):
    """The ending follows from format and compression, and each part is added only where it is missing."""
    assert resolve.file_name(task(**export)) == name


def test_long_names_are_cut():
    """The name of a task may be longer than a file's; with ending and `.partial` it must stay under 255
    bytes."""
    name = resolve.file_name(task(name="a" * 253))
    assert name == "a" * 200 + ".parquet"


def test_no_export():
    """A preview-only task has no file name."""
    nothing = parse.task({"metadata": {"name": "x"}, "spec": {"sql": "SELECT 1"}})
    with pytest.raises(ValueError, match=r"spec\.export of QueryTask x must be set"):
        resolve.file_name(nothing)
