"""The head of a text file is read back in a small container, and no line of it is left out."""

from __future__ import annotations

import json

import pytest

from querytask_worker.contract import Export
from tests.worker.builders import CSV, JSON

MIB = 1024**2
WAYS = {
    "CSV": CSV,
    "JSON": JSON,
    "CSV.gz": Export("CSV", "Gzip", "out.csv.gz"),
    "JSON.zst": Export("JSON", "Zstd", "out.json.zst"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_smallest_container_has_a_preview(run, way: str):
    """Reading a line takes little memory, whatever the reader would take by itself."""
    ran = run("SELECT 'Grüße' AS a, 42 AS b", export=WAYS[way], memory_bytes=128 * MIB)

    assert [json.loads(row) for row in ran.rows] == [["Grüße", 42]]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [0, 2])
def test_a_long_line_among_short_ones_keeps_its_place(run, way: str, place: int):
    """A line longer than usual is cut in the preview, and neither it nor another one is skipped."""
    text = f"CASE i WHEN {place} THEN repeat('x', 5000000) ELSE 'short' END"
    ran = run(f"SELECT i, {text} AS text FROM range(5) t(i)", export=WAYS[way])

    assert [json.loads(row)[0] for row in ran.rows] == [0, 1, 2, 3, 4]
