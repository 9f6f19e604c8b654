"""Exports: what the file holds, what the manifest says of it, and that nothing else is left."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json

import duckdb
import pytest

from querytask_worker import export
from querytask_worker.contract import ExitCode, Export, Parameter
from tests.worker.builders import CSV, JSON, PARQUET

SQL = "SELECT range AS id, 'row ' || range AS name, range % 3 = 0 AS third FROM range(3000) ORDER BY id"
COMPRESSIONS = {
    "Parquet": ["Uncompressed", "Snappy", "Gzip", "Zstd", "Lz4", "Brotli"],
    "CSV": ["Uncompressed", "Gzip", "Zstd"],
    "JSON": ["Uncompressed", "Gzip", "Zstd"],
}
EVERY = [(kind, compression) for kind, compressions in COMPRESSIONS.items() for compression in compressions]
READ = {
    "Parquet": "read_parquet($file)",
    "CSV": "read_csv($file, compression = $compression)",
    "JSON": "read_json($file, format = 'newline_delimited', compression = $compression)",
}


@pytest.mark.parametrize(("kind", "compression"), EVERY)
def test_every_format_and_compression_holds_the_result(run, kind: str, compression: str):
    """The file is read with a DuckDB of its own and compared with the query; the manifest's facts are the
    file's.
    """
    ran = run(SQL, export=Export(kind, compression, "out.file"))
    (file,) = ran.manifest.files
    path = ran.directory / file.name
    values = {"file": str(path)} | ({"compression": compression.lower()} if kind != "Parquet" else {})
    read, expected = f"SELECT * FROM {READ[kind]}", duckdb.sql(SQL).fetchall()
    assert duckdb.execute(read, values).fetchall() == expected
    assert (file.rows, file.bytes, file.name) == (3000, path.stat().st_size, "out.file")
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (ran.manifest.format, ran.manifest.compression, ran.manifest.rows) == (kind, compression, 3000)
    assert json.loads(ran.rows[1]) == [1, "row 1", False]


@pytest.mark.parametrize("compression", COMPRESSIONS["Parquet"])
def test_parquet_is_compressed_as_asked(run, compression: str):
    ran = run(SQL, export=Export("Parquet", compression, "out.parquet"))
    metadata = "SELECT DISTINCT compression FROM parquet_metadata($file)"
    used = duckdb.execute(metadata, {"file": str(ran.directory / "out.parquet")}).fetchall()
    assert [name.removesuffix("_RAW") for (name,) in used] == [compression.upper()]


def test_csv_has_a_header_and_gzip_is_gzip(run):
    ran = run("SELECT 1 AS a, NULL AS b, '' AS c", export=Export("CSV", "Gzip", "out.csv.gz"))
    assert gzip.decompress((ran.directory / "out.csv.gz").read_bytes()) == b'a,b,c\n1,,""\n'


def test_json_is_one_object_a_line_with_names_made_unique(run):
    ran = run("SELECT range AS a, 'x' AS A FROM range(2)", export=JSON)
    lines = (ran.directory / "out.json").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 0, "A_1": "x"}, {"a": 1, "A_1": "x"}]


def test_no_rows_still_make_a_file(run):
    ran = run("SELECT 1 AS a WHERE false", export=CSV)
    assert (ran.manifest.rows, ran.manifest.files[0].rows) == (0, 0)
    assert (ran.directory / "out.csv").read_bytes() == b"a\n"


@pytest.mark.parametrize("name", ["[1].parquet", "a*b?.csv", "ö 漢 '\".json", "x" * 200])
def test_strange_file_names_are_only_names(run, name: str):
    ran = run("SELECT 1 AS a", export=Export("CSV", "Uncompressed", name))
    assert ran.rows == ("[1]",)
    assert (ran.directory / name).read_bytes() == b"a\n1\n"


@pytest.mark.parametrize("name", ["", "a/b", "../a", "_manifest.json", ".hidden", "export.partial"])
def test_a_name_that_leads_elsewhere_is_refused(name: str):
    with pytest.raises(ValueError, match="must be a plain file name"):
        export.check_name(name)


def test_nothing_but_the_file_and_the_manifest_is_left(run):
    ran = run(SQL, export=PARQUET)
    assert {path.name for path in ran.directory.iterdir()} == {"out.parquet", "_manifest.json"}
    assert (ran.directory / "_manifest.json").samefile(ran.directory.parent / "_manifest.json")


def test_values_that_parquet_changes_are_shown_as_the_query_gave_them(run):
    """A sum of integers is 128 bits wide: Parquet makes a double of it, the preview must not."""
    ran = run("SELECT sum(9007199254740993::BIGINT) AS s, INTERVAL '1.000001 s' AS i", export=PARQUET)
    assert ran.rows == ('[9007199254740993,"00:00:01.000001"]',)
    assert ran.types == ["HUGEINT", "INTERVAL"]


def test_a_query_runs_once(run):
    """Volatile functions would tell: what is shown is what the file holds."""
    for asked in (PARQUET, CSV, JSON):
        ran = run("SELECT 'id ' || uuid() AS id FROM range(3)", export=asked)
        read = {"Parquet": "read_parquet", "CSV": "read_csv", "JSON": "read_json"}[asked.format]
        held = duckdb.execute(
            f"FROM {read}($file)", {"file": str(ran.directory / asked.file_name)}
        ).fetchall()
        assert [json.loads(row) for row in ran.rows] == [list(row) for row in held]


@pytest.mark.parametrize("asked", [None, PARQUET], ids=["counted", "exported"])
@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("DESCRIBE SELECT 1 AS a", ['["a","INTEGER","YES",null,null,null]']),
        ("CREATE TEMP TABLE t AS SELECT 1; SHOW TABLES", ['["t"]']),
        ("PIVOT (SELECT 'a' AS k, 1 AS v UNION ALL SELECT 'b', 2) ON k USING sum(v)", ["[1,2]"]),
        ("UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b", ['["a",1]', '["b",2]']),
        ("VALUES (1), (2)", ["[1]", "[2]"]),
        ("WITH x AS (SELECT 1 AS a) FROM x -- the end", ["[1]"]),
        ("CREATE TEMP MACRO f(x) AS x * 2; CREATE TEMP VIEW v AS SELECT f(21) AS a; TABLE v;", ["[42]"]),
        ("(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 DESC", ["[2]", "[1]"]),
    ],
)
def test_every_kind_of_query_can_be_shown_and_exported(run, sql: str, rows: list[str], asked: Export | None):
    ran = run(sql, export=asked)
    assert (list(ran.rows), ran.manifest.rows) == (rows, len(rows))
    assert len(ran.manifest.files) == (asked is not None)


@pytest.mark.parametrize("asked", [None, JSON], ids=["shown", "exported"])
@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("EXPLAIN SELECT 42", "physical_plan"),
        ("EXPLAIN ANALYZE SELECT 42", "analyzed_plan"),
        (
            "CREATE TEMP TABLE t AS SELECT 'a' AS k, 1 AS v; EXPLAIN PIVOT t ON k USING sum(v)",
            "physical_plan",
        ),
    ],
)
def test_a_plan_can_be_shown_and_exported(run, sql: str, key: str, asked: Export | None):
    ran = run(sql, export=asked)
    assert json.loads(ran.rows[0])[0] == key
    assert [column.name for column in ran.manifest.columns] == ["explain_key", "explain_value"]


def test_parameters_reach_exports_and_pivots(run):
    one = (Parameter("x", "INTEGER", "41"),)
    assert run("SELECT $x + 1 AS a", parameters=one, export=PARQUET).rows == ("[42]",)
    assert (
        run("PIVOT (SELECT 'a' AS k, $x AS v) ON k USING max(v)", parameters=one, export=CSV).fault
        is not None
    )
    assert run(
        "CREATE TEMP TABLE t AS SELECT 'a' AS k, $x AS v; PIVOT t ON k USING max(v)", parameters=one
    ).rows == ("[41]",)
    assert "CAST" not in run("EXPLAIN SELECT $x", parameters=one).rows[0]


def test_a_name_of_the_users_is_never_taken_for_ours(run):
    sql = "CREATE TEMP TABLE querytask_result AS SELECT 5 AS a; SELECT sum(a) AS s FROM querytask_result"
    assert run(sql, export=PARQUET).rows == ("[5]",)


def test_the_manifest_says_what_it_is(run):
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    manifest = run("SELECT 1 AS a", export=PARQUET, owner="data-team", retention_seconds=7200.0).manifest
    published, expires = (
        dt.datetime.fromisoformat(text) for text in (manifest.published_at, manifest.expires_at)
    )
    assert before <= published
    assert expires - published == dt.timedelta(hours=2)
    assert manifest.sql_sha256 == hashlib.sha256(b"SELECT 1 AS a").hexdigest()
    assert manifest.duckdb_version == duckdb.__version__
    assert (manifest.namespace, manifest.name, manifest.uid, manifest.attempt, manifest.owner) == (
        "analytics",
        "late-flights",
        "3f0c",
        1,
        "data-team",
    )
    measured = manifest.statistics
    assert None not in (measured.start_seconds, measured.engine_seconds, measured.export_seconds)
    assert measured.peak_memory_bytes > 10_000_000


def test_a_task_without_export_publishes_a_manifest_without_files(run):
    manifest = run("FROM range(100)").manifest
    assert (manifest.rows, manifest.files, manifest.format, manifest.compression) == (100, (), None, None)


def test_a_fault_leaves_no_result(run):
    ran = run("SELECT error('no ' || range) FROM range(10)", export=PARQUET)
    assert (ran.fault.code, ran.manifest) == (ExitCode.SQL_ERROR, None)


def test_numbers_are_given_to_equal_names_as_duckdb_gives_them():
    assert export.unique_names(["a", "A", "b", "a", "a_1"]) == ["a", "A_1", "b", "a_2", "a_1_1"]
