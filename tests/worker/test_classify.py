"""What DuckDB raises, by class and with its place; the errors are raised by a real DuckDB under the real
lock-down.
"""

from __future__ import annotations

import errno
import os

import duckdb
import pytest

from querytask_worker import classify
from querytask_worker.contract import ExitCode
from querytask_worker.text import Piece
from tests.worker.builders import CSV, PARQUET

MIB = 1024 * 1024

SQL_ERRORS = [
    ("SELECT foo FROM range(3)", '"foo" not found', "1:8"),
    ("SELECT 'ä',\n  'ö', foo FROM range(3)", '"foo" not found', "2:8"),
    ("SELECT *\nFROM nope", "Table with name nope does not exist", "2:6"),
    ("SELECT 'x'::INTEGER", "Could not convert string 'x' to INT32", "1:11"),
    ("SELECT ('r' || range)::INTEGER FROM range(3)", "Could not convert string 'r0'", "1:22"),
    ("SELECT ('a' || range) / 2 FROM range(1)", "explicit type casts", "1:23"),
    ("SELECT sum('a')", "No function matches", "1:8"),
    ("SELECT error('no such luck')", "no such luck", None),
    ("SELECT 2147483647::INTEGER + 1::INTEGER FROM range(1)", "Overflow", None),
    ("SELECT * FROM 'nope.parquet'", "No files found", None),
    ("SELECT * FROM read_csv('nope/*.csv')", "No files found", "1:15"),
    ("CREATE TEMP TABLE t AS SELECT 1 AS a;\nSELECT b FROM t", '"b" not found', "2:8"),
    ("CREATE TEMP TABLE t AS\n SELECT b; SELECT 1", '"b"', "2:9"),
    ("PIVOT (SELECT 1 AS a) ON b", '"b"', None),
    ("EXPLAIN SELECT foo", '"foo"', "1:16"),
    ("SELECT $$ö$$, year('x'", "syntax error", "1:23"),
    ("SELECT 'unterminated", "unterminated quoted string", "1:8"),
]


@pytest.mark.parametrize(("sql", "told", "where"), SQL_ERRORS, ids=[sql[:40] for sql, _, _ in SQL_ERRORS])
def test_a_wrong_query_is_told_in_duckdbs_words_with_the_users_place(
    run, sql: str, told: str, where: str | None
):
    fault = run(sql, export=PARQUET).fault
    assert fault.code == ExitCode.SQL_ERROR
    assert told in fault.message
    assert where is None or fault.position == where


def test_a_place_is_the_users_without_an_export_too(run):
    """There, too, text of ours stands around the query while it runs."""
    fault = run("SELECT ('ä' || range)::INTEGER\n FROM range(3)").fault
    assert fault.position == "1:22"
    assert fault.message.endswith("\n\nLINE 1: SELECT ('ä' || range)::INTEGER\n" + " " * 29 + "^")


FORBIDDEN = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_csv('/dev/stdin')",
    "SELECT * FROM read_text('../task/1/_assignment.json')",
    "SELECT * FROM read_text('{task}/1/_assignment.json')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_files_outside_the_sources_are_not_allowed(run, tmp_path, sql: str):
    fault = run(sql.replace("{task}", str(tmp_path / "run1" / "task"))).fault
    assert fault.code == ExitCode.SQL_NOT_ALLOWED


@pytest.mark.parametrize(
    "sql",
    ["FROM 'https://example.invalid/x.parquet'", "FROM 's3://bucket/x.parquet'", "SELECT getenv('HOME')"],
)
def test_the_network_and_the_environment_are_out_of_reach(run, sql: str):
    assert run(sql).fault.code in (ExitCode.SQL_ERROR, ExitCode.SQL_NOT_ALLOWED)


def test_a_variable_of_the_worker_is_no_table(run):
    """DuckDB's Python would look for a data frame of that name in the caller's variables."""
    assert "does not exist" in run("FROM statement").fault.message


def test_a_query_reads_its_sources_by_relative_names(run, tmp_path):
    (tmp_path / "data" / "flights").mkdir(parents=True)
    (tmp_path / "data" / "flights" / "a.csv").write_text("a\n1\n")
    (tmp_path / "data" / "flights" / "b.csv").write_text("a\n2\n")
    assert run("FROM 'flights/*.csv' ORDER BY a", sources=("flights",)).rows == ("[1]", "[2]")


def test_a_source_that_is_not_there_is_unreachable(run):
    fault = run("SELECT 1", sources=("flights",)).fault
    assert fault.code == ExitCode.SOURCE_UNREACHABLE
    assert "'flights'" in fault.message


def test_a_corrupt_file_is_the_querys_error(run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.parquet").write_bytes(b"no parquet at all")
    assert run("FROM 'bad.parquet'").fault.code == ExitCode.SQL_ERROR


def test_more_memory_than_the_limit_is_out_of_memory_and_advises_no_settings(run):
    fault = run("SELECT list(range) FROM range(100000000)", memory_bytes=64 * MIB).fault
    assert fault.code == ExitCode.OUT_OF_MEMORY
    assert "SET " not in fault.message


def test_more_spill_than_the_limit_is_spill_full(run):
    sql = "SELECT count(*) FROM (SELECT uuid() AS u FROM range(5000000) ORDER BY u)"
    fault = run(sql, memory_bytes=96 * MIB, spill_bytes=8 * MIB, export=CSV).fault
    assert fault.code == ExitCode.SPILL_FULL


CONTEXT = classify.Context("SELECT 1", Piece("SELECT 1", 0), spill_dir="/spill", task_dir="/task")
MESSAGES = [
    (duckdb.IOException('Could not write file "/task/1/export.partial": No space left on device'), 32),
    (duckdb.IOException('Could not write file "/task/1/export.partial": Disk quota exceeded'), 32),
    (duckdb.IOException('Could not write file "/spill/duckdb/duckdb_temp.tmp": No space left on device'), 31),
    (duckdb.OutOfMemoryException("failed to offload data block of size 256.0 KiB"), 31),
    (duckdb.OutOfMemoryException("could not allocate block of size 256.0 KiB"), 30),
    (duckdb.IOException('Could not read from file "flights/a.parquet": Input/output error'), 40),
    (duckdb.IOException('Cannot open file "flights/a.parquet": Stale file handle'), 40),
    (duckdb.IOException('Cannot open file "flights/a.parquet": Permission denied'), 40),
    (duckdb.IOException('Cannot open file "flights/a.parquet": No such file or directory'), 10),
    (duckdb.HTTPException("Unable to connect"), 40),
    (duckdb.InternalException("assertion failed"), 70),
    (duckdb.FatalException("database has been invalidated"), 70),
    (duckdb.InvalidInputException("bad allocation: no space left on device"), 10),
    (duckdb.IOException('Cannot open file "/task/1/export.partial": Read-only file system'), 70),
    (duckdb.PermissionException("no"), 11),
    (duckdb.Error("something"), 10),
    (duckdb.InternalException("Parquet writer: 1966088 compressed page size out of range"), 30),
    (MemoryError(), 30),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 32),
    (OSError(errno.EIO, os.strerror(errno.EIO)), 70),
]


@pytest.mark.parametrize(("error", "code"), MESSAGES, ids=[repr(error)[:70] for error, _ in MESSAGES])
def test_errors_that_no_test_can_raise_are_known_by_type_and_words(error: BaseException, code: int):
    assert classify.fault(error, CONTEXT).code == code


def test_a_message_that_is_no_json_is_taken_as_it_stands():
    assert classify.fault(duckdb.BinderException("plain { words"), CONTEXT).message == "plain { words"
