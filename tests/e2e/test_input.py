"""Input that is wrong is refused by the API server with a sentence; input that is unusual works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scripts.kube import CommandFailed
from tests.e2e.kit.site import Site
from tests.e2e.kit.tasks import ENDLESS, task

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "sql-too-long": ({"sql": f"SELECT 1 -- {'x' * 65536}"}, r"spec\.sql: Too long"),
    "sql-too-long-as-utf-8": ({"sql": f"SELECT '{'ü' * 40000}'"}, r"spec\.sql.*at most 65536 bytes as UTF-8"),
    "sql-missing": ({"sql": None}, r'missing required field "sql"|spec\.sql: Required'),
    "unknown-field": ({"sqll": "SELECT 1"}, r'unknown field "(spec\.)?sqll"'),
    "unknown-format": ({"export": {"format": "Excel"}}, r"spec\.export\.format: Unsupported value"),
    "path-as-file-name": (
        {"export": {"format": "CSV", "fileName": "../other"}},
        r"spec\.export\.fileName.*must be a plain file name.*\.\./other",
    ),
    "folder-in-file-name": ({"export": {"format": "CSV", "fileName": "a/b"}}, r"spec\.export\.fileName"),
    "timeout-of-words": ({"timeout": "soon"}, r"spec\.timeout.*must be a duration.*soon"),
    "too-little-memory": ({"resources": {"memory": "1Mi"}}, r"spec\.resources\.memory.*at least 128Mi"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(site: Site, name: str) -> None:
    """What cannot be run is never created, and the answer names the field."""
    change, sentence = REFUSED[name]
    document = task(f"refused-{name}", "SELECT 1")
    document["spec"] |= change

    with pytest.raises(CommandFailed, match=sentence):
        site.kube.apply(document)


def test_a_running_task_does_not_change(site: Site) -> None:
    """An edit of what runs is refused with a sentence that names the field and says what to do."""
    site.running("not-to-be-edited", ENDLESS)

    with pytest.raises(CommandFailed, match=r"spec\.sql must not change; create another QueryTask"):
        site.kube.apply(task("not-to-be-edited", "SELECT 1"))
    with pytest.raises(CommandFailed, match=r"spec\.priority must not change unless status\.phase is Queued"):
        site.kube("patch", "querytask", "not-to-be-edited", "--type=merge", '--patch={"spec":{"priority":9}}')
    site.delete("not-to-be-edited")


LONG_NAME = ("long-" * 50 + "name")[:253]
COLUMNS = 500
UNUSUAL: dict[str, tuple[str, dict[str, Any]]] = {
    LONG_NAME: ("SELECT 42 AS answer", {"export": {"format": "Parquet"}}),
    "unicode": (
        "SELECT 'Grüße, 世界 🦆' AS \"größe 🦆\"",
        {"export": {"format": "CSV", "fileName": "größe 🦆"}},
    ),
    "500-columns": (
        "SELECT " + ", ".join(f"{number} AS column_{number}" for number in range(COLUMNS)),
        {"export": {"format": "Parquet"}},
    ),
    "no-rows": ("SELECT 42 AS answer, 'x' AS word WHERE false", {"export": {"format": "Parquet"}}),
    "large-cell": ("SELECT repeat('ü', 5000000) AS cell", {"export": {"format": "Parquet"}}),
    "nul-in-a-value": ("SELECT 'a' || chr(0) || 'b' AS word", {"export": {"format": "Parquet"}}),
}


@pytest.fixture(scope="module")
def submitted(site: Site) -> None:
    """All the unusual tasks, at once."""
    site.kube.apply(*(task(name, sql, **spec) for name, (sql, spec) in UNUSUAL.items()))


@pytest.fixture
def ended(site: Site, submitted: None, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict, list]:
    """One of them when it has succeeded, and the rows of its file."""
    found = site.ended(request.param)
    assert found["status"]["phase"] == "Succeeded", found["status"]["message"]
    export = found["status"]["export"]
    file = tmp_path / ("file." + export["format"].lower())
    file.write_bytes(site.read(export["path"]))
    with duckdb.connect() as connection:
        return found, connection.execute(f"SELECT * FROM '{file}'").fetchall()


def unusual(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ended", [name], indirect=True, ids=[name[:20]])


@unusual(LONG_NAME)
def test_long_name(ended: tuple[dict, list]) -> None:
    """A task whose name has 253 characters runs, and its file has a name that file systems take."""
    found, rows = ended
    assert len(found["metadata"]["name"]) == 253
    assert rows == [(42,)]


@unusual("unicode")
def test_unicode(ended: tuple[dict, list]) -> None:
    """Text beyond ASCII survives in SQL, column names, values, previews and file names."""
    found, rows = ended
    status = found["status"]
    assert rows == [("Grüße, 世界 🦆",)]
    assert status["result"]["columns"] == [{"name": "größe 🦆", "type": "VARCHAR"}]
    assert [json.loads(row) for row in status["result"]["preview"]] == [["Grüße, 世界 🦆"]]
    assert status["export"]["path"].endswith("/1/größe 🦆.csv")


@unusual("500-columns")
def test_many_columns(ended: tuple[dict, list]) -> None:
    """All columns are in the file; the status lists the first 50 and says that there are more."""
    found, rows = ended
    result = found["status"]["result"]
    assert rows == [tuple(range(COLUMNS))]
    assert [column["name"] for column in result["columns"]] == [f"column_{number}" for number in range(50)]
    assert result["truncated"] is True


@unusual("no-rows")
def test_no_rows(ended: tuple[dict, list]) -> None:
    """A result without rows is a result: the file has its columns."""
    found, rows = ended
    assert rows == []
    assert found["status"]["result"]["rows"] == 0
    assert [column["name"] for column in found["status"]["result"]["columns"]] == ["answer", "word"]


@unusual("large-cell")
def test_large_cell(ended: tuple[dict, list]) -> None:
    """A cell of 10 MB is in the file whole, and in the status cut."""
    found, rows = ended
    assert rows == [("ü" * 5_000_000,)]
    assert len(json.dumps(found["status"])) < 8192
    assert found["status"]["result"]["truncated"] is True


@unusual("nul-in-a-value")
def test_nul_in_a_value(ended: tuple[dict, list]) -> None:
    """A NUL character in a value survives in the file and in the preview."""
    found, rows = ended
    assert rows == [("a\0b",)]
    assert [json.loads(row) for row in found["status"]["result"]["preview"]] == [["a\0b"]]


def test_nul_in_the_sql(site: Site) -> None:
    """A NUL character in the SQL ends with a clear reason."""
    status = site.run("nul-in-the-sql", "SELECT 'a\0b' AS word")["status"]

    assert (status["phase"], status["reason"]) == ("Failed", "SqlError")
    assert "NUL" in status["message"]
