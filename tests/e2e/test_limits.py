"""Volumes that are too small, clocks that run out: each ends with its reason and leaves nothing behind."""

from __future__ import annotations

import time

import pytest

from tests.e2e.kit.site import Site

SORT = """
SELECT max(place) FROM (SELECT row_number() OVER (ORDER BY hash(i), i) AS place FROM range(12000000) t(i))
"""
LARGE = "SELECT i, repeat('querytask', 50) AS text FROM range(400000) t(i)"
"""About 180 MB as CSV."""


def test_spill_is_full(site: Site) -> None:
    """A sort that needs more disk than `resources.spill` ends as SpillFull, and says which field to raise."""
    resources = {"cpu": "500m", "memory": "192Mi", "spill": "16Mi"}

    status = site.run("spill-full", SORT, resources=resources)["status"]

    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "SpillFull", 1)
    assert "spec.resources.spill" in status["message"]


def test_exports_volume_is_full(small: Site) -> None:
    """A result bigger than the exports volume leaves no part of a file, and the next task has room."""
    export = {"format": "CSV", "compression": "Uncompressed"}

    full = small.run("too-big-for-the-volume", LARGE, export=export)
    after = small.run("fits-well", "SELECT 42 AS answer", export=export)

    status = full["status"]
    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "ExportVolumeFull", 1)
    assert {file for file in small.files(full["metadata"]["uid"]) if not file.startswith("1/_")} == set()
    assert after["status"]["phase"] == "Succeeded"
    assert small.read(after["status"]["export"]["path"]) == b"answer\n42\n"


TIMEOUTS = {
    "ordinary": ("SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range = -b.range", {}),
    "while-planning": ("SELECT levenshtein(repeat('ab', 100000), repeat('ba', 100000)) AS distance", {}),
    "deaf-operator": (
        "SELECT sum(x) FROM (SELECT unnest(range(100000000)) AS x)",
        {"resources": {"cpu": "1", "memory": "8Gi", "spill": "64Mi"}},
    ),
}
"""A query that hears an interrupt, one that is folded while it is planned, a step that is deaf."""


@pytest.mark.parametrize("name", TIMEOUTS)
def test_timeout(site: Site, name: str) -> None:
    """A query longer than its timeout has ended within 5 s of it, also where it ignores interrupts."""
    sql, spec = TIMEOUTS[name]
    site.running(f"timeout-{name}", sql, timeout="3s", retry={"limit": 2}, **spec)
    seen_running = time.monotonic()

    status = site.ended(f"timeout-{name}")["status"]

    assert (status["phase"], status["reason"], status["attempt"]) == ("Failed", "Timeout", 1)
    assert 3 <= float(status["executionSeconds"]) < 3 + 5
    assert time.monotonic() - seen_running < 3 + 5 + 3
    assert "3 s" in status["message"]
