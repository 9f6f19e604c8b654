"""Every example is applied as it stands, ends as its second line says, and its file holds what it should.

The expectation is computed here, by another DuckDB from the same Parquet file, from the SQL and the
parameters of the same manifest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from scripts import lake
from scripts.release import example_files
from tests.e2e.kit.site import Site

EXAMPLES = [path for path in example_files() if "\n# Ends:" in path.read_text()]
SOURCES = [path for path in example_files() if "\n# Ready:" in path.read_text()]
FAILURES = example_files(failures=True)
_READERS = {"Parquet": "read_parquet", "CSV": "read_csv", "JSON": "read_json"}


def name_of(path: Path) -> str:
    return path.stem


def second_line(path: Path) -> str:
    return path.read_text().splitlines()[1]


def apply(site: Site, path: Path) -> dict[str, Any]:
    """Apply the example; the task once it has its end."""
    site.kube("apply", "-f", str(path))
    return site.ended(yaml.safe_load(path.read_text())["metadata"]["name"])


def expected_rows(spec: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the task's SQL gives here."""
    sql = spec["sql"].replace("'flights/flights.parquet'", f"'{lake.parquet()}'")
    with duckdb.connect() as connection:
        values = {item["name"]: _bound(connection, item) for item in spec.get("parameters", ())}
        return connection.execute(sql, values).fetchall()


def _bound(connection: duckdb.DuckDBPyConnection, item: dict[str, Any]) -> Any:
    given = item["values"] if "values" in item else item["value"]
    return connection.execute(f"SELECT CAST($1 AS {item['type']})", [given]).fetchall()[0][0]


def rows_of(content: bytes, export: dict[str, Any], folder: Path) -> list[tuple[Any, ...]]:
    """The rows of an exported file."""
    file = folder / Path(export["path"]).name
    file.write_bytes(content)
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT * FROM {_READERS[export['format']]}('{file}')").fetchall()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_sources(site: Site, path: Path) -> None:
    """A source of the examples becomes ready for the reason that its second line names."""
    site.kube("apply", "-f", str(path))
    site.kube("wait", "-f", str(path), "--for=condition=Ready", "--timeout=60s")

    (ready,) = site.kube.get("querysource", yaml.safe_load(path.read_text())["metadata"]["name"])["status"][
        "conditions"
    ]

    assert second_line(path) == f"# Ready: {ready['reason']}"


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_examples(site: Site, path: Path, tmp_path: Path) -> None:
    """An example ends as it says; status, manifest and file agree, and the rows are those of the SQL."""
    task = apply(site, path)
    status, expected = task["status"], expected_rows(task["spec"])

    assert second_line(path) == f"# Ends: {status['phase']}, {status['reason']}", status["message"]
    assert status["result"]["rows"] == len(expected)
    if "export" not in task["spec"]:
        assert status["export"]["state"] == "NotApplicable"
        shown = [tuple(json.loads(row)) for row in status["result"]["preview"]]
        assert shown == expected[: len(shown)]
        return
    export = status["export"]
    content = site.read(export["path"])
    manifest = json.loads(site.read(f"{site.namespace}/{task['metadata']['uid']}/_manifest.json"))
    (file,) = manifest["files"]
    assert hashlib.sha256(content).hexdigest() == export["sha256"] == file["sha256"]
    assert len(content) == export["bytes"] == file["bytes"]
    assert sorted(rows_of(content, export, tmp_path)) == sorted(expected)


@pytest.mark.parametrize("path", FAILURES, ids=name_of)
def test_examples_of_failure(site: Site, path: Path) -> None:
    """An example of failure ends as it says, at its first attempt, with a message and without a file."""
    status = apply(site, path)["status"]

    assert second_line(path) == f"# Ends: {status['phase']}, {status['reason']}", status["message"]
    assert status.get("attempt", 1) == 1
    assert status["message"]
    assert status["error"]["retryable"] is False
    assert status["export"] == {"state": "NotApplicable"}
