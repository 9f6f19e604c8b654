"""Which statements run, and what is told of those that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
import pytest

from querytask_worker import policy
from querytask_worker.contract import ExitCode
from querytask_worker.faults import Fault

ALLOWED = [
    "SELECT 1",
    "select 1;",
    "  -- a comment\n SELECT 1 /* another */ ;; ",
    "(SELECT 1)",
    "FROM range(3)",
    "VALUES (1), (2)",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "SELECT 1 UNION ALL SELECT 2",
    "TABLE t",
    "PIVOT t ON k USING sum(v)",
    "UNPIVOT t ON v",
    "DESCRIBE t",
    "SUMMARIZE t",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (ANALYZE, FORMAT json) SELECT 1",
    "EXPLAIN PIVOT t ON k USING sum(v)",
    "CREATE TEMP TABLE a AS SELECT 1; FROM a",
    "CREATE OR REPLACE TEMPORARY TABLE a AS SELECT 1; FROM a",
    "CREATE LOCAL TEMP VIEW a AS SELECT 1; FROM a",
    "CREATE TEMP MACRO a(x) AS x + 1; SELECT a(1)",
    "CREATE TEMP MACRO a() AS TABLE SELECT 1; FROM a()",
    "CREATE TEMP FUNCTION a(x) AS x; SELECT a(1)",
    'SELECT \'Wörter; 漢字\', "ähnlich" FROM (SELECT 1 AS "ähnlich")',
    "SELECT query FROM (SELECT 'checkpoint' AS query)",
]
REFUSED = [
    ("ATTACH 'x.db'", "ATTACH"),
    ("DETACH x", "DETACH"),
    ("COPY t TO 'x'", "COPY"),
    ("COPY t FROM 'x'", "COPY"),
    ("COPY FROM DATABASE a TO b", "COPY"),
    ("INSTALL httpfs", "INSTALL"),
    ("LOAD httpfs", "LOAD"),
    ("UPDATE EXTENSIONS", "UPDATE"),
    ("SET threads = 1", "SET"),
    ("SET VARIABLE x = 1", "SET"),
    ("RESET threads", "RESET"),
    ("USE memory", "USE"),
    ("PRAGMA version", "PRAGMA"),
    ("PRAGMA memory_limit = '1GB'", "PRAGMA"),
    ("CALL pragma_version()", "CALL"),
    ("EXPORT DATABASE 'x'", "EXPORT"),
    ("IMPORT DATABASE '/etc'", "IMPORT"),
    ("BEGIN", "BEGIN"),
    ("COMMIT", "COMMIT"),
    ("INSERT INTO t VALUES ('a', 1)", "INSERT"),
    ("UPDATE t SET v = 1", "UPDATE"),
    ("DELETE FROM t", "DELETE"),
    ("TRUNCATE t", "TRUNCATE"),
    ("MERGE INTO t USING t b ON true WHEN MATCHED THEN DELETE", "MERGE"),
    ("DROP TABLE t", "DROP"),
    ("ALTER TABLE t RENAME TO u", "ALTER"),
    ("COMMENT ON TABLE t IS 'x'", "COMMENT"),
    ("VACUUM", "VACUUM"),
    ("ANALYZE t", "ANALYZE"),
    ("CHECKPOINT", "CHECKPOINT"),
    ("PREPARE p AS SELECT 1", "PREPARE"),
    ("EXECUTE p", "EXECUTE"),
    ("DEALLOCATE p", "DEALLOCATE"),
    ("CREATE TABLE a AS SELECT 1; SELECT 1", "CREATE TABLE"),
    ("CREATE VIEW a AS SELECT 1; SELECT 1", "CREATE VIEW"),
    ("CREATE MACRO a() AS 1; SELECT 1", "CREATE MACRO"),
    ("CREATE SECRET s (TYPE s3); SELECT 1", "CREATE SECRET"),
    ("CREATE PERSISTENT SECRET s (TYPE s3); SELECT 1", "CREATE SECRET"),
    ("CREATE TEMP SEQUENCE s; SELECT 1", "CREATE SEQUENCE"),
    ("CREATE TYPE e AS ENUM ('a'); SELECT 1", "CREATE TYPE"),
    ("CREATE SCHEMA s; SELECT 1", "CREATE SCHEMA"),
    ("CREATE INDEX i ON t (v); SELECT 1", "CREATE INDEX"),
    ("CREATE TEMP TABLE a AS SELECT 1", "CREATE TABLE"),
    ("SELECT 1; SELECT 2", "SELECT"),
    ("EXPLAIN SELECT 1; SELECT 2", "EXPLAIN"),
    ("EXPLAIN COPY t TO 'x'", "EXPLAIN"),
    ("EXPLAIN ANALYZE INSERT INTO t VALUES ('a', 1)", "EXPLAIN"),
    ("EXPLAIN CREATE TEMP TABLE a AS SELECT 1", "EXPLAIN"),
    ("SELECT 1; COPY t TO 'x'", "COPY"),
    ("COPY t TO 'x'; SELECT 1", "COPY"),
]
REFUSED_CALLS = [
    "SELECT * FROM enable_logging()",
    "SELECT * FROM enable_logging(storage := 'file', storage_path := '/data/x')",
    'FROM "enable_logging" /* a */ (1)',
    "FROM system.main.Enable_Logging()",
    "FROM query('SELECT 1')",
    "FROM checkpoint()",
    "FROM enable_profiling()",
    "FROM json_execute_serialized_sql('x')",
    "CREATE TEMP MACRO m() AS TABLE FROM enable_logging(); FROM m()",
    "EXPLAIN ANALYZE FROM enable_logging()",
    "SELECT write_log('x')",
]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("CREATE TEMP TABLE t AS SELECT 'a' AS k, 1 AS v")
        made.execute("SET errors_as_json = true")
        made.execute("SET enable_external_access = false")
        yield made


@pytest.fixture
def refusal(connection: duckdb.DuckDBPyConnection) -> Callable[[str], Fault]:
    def refusal(sql: str) -> Fault:
        with pytest.raises(Fault) as caught:
            policy.read(connection, sql)
        return caught.value

    return refusal


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_query_and_what_prepares_it_is_allowed(connection: duckdb.DuckDBPyConnection, sql: str):
    assert policy.read(connection, sql).query.text.strip()


@pytest.mark.parametrize(("sql", "named"), REFUSED, ids=[sql[:40] for sql, _ in REFUSED])
def test_everything_else_is_refused_and_named(refusal, sql: str, named: str):
    fault = refusal(sql)
    assert fault.code == ExitCode.SQL_NOT_ALLOWED
    assert fault.message.startswith(f"{named} is not allowed")


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("SELECT 1; -- ä\n  COPY t TO 'x'", "2:3"),
        ("/* ä */ IMPORT DATABASE 'x'", "1:9"),
        ("CREATE TEMP TABLE a AS SELECT 1;\nCREATE VIEW v AS SELECT 1; SELECT 1", "2:1"),
        ("SELECT 1;\nSELECT * FROM enable_logging()", "2:1"),
        ("SELECT 1; SELECT 2", "1:1"),
    ],
)
def test_what_is_refused_has_a_place(refusal, sql: str, where: str):
    assert refusal(sql).position == where


@pytest.mark.parametrize("sql", REFUSED_CALLS)
def test_functions_that_write_or_run_text_are_refused(refusal, sql: str):
    assert refusal(sql).code == ExitCode.SQL_NOT_ALLOWED


def test_a_table_without_temp_is_told_the_word_to_write(refusal):
    assert "write CREATE TEMP TABLE" in refusal("CREATE TABLE a AS SELECT 1; FROM a").message


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("SELECT 1; SELEC 2", "1:11"),
        ("SELECT 'ä',\n ^", "2:2"),
        ("SELECT 'open", "1:8"),
        ("SELECT 1 +", "1:11"),
    ],
)
def test_a_text_that_cannot_be_parsed_is_an_sql_error_with_its_place(refusal, sql: str, where: str):
    fault = refusal(sql)
    assert (fault.code, fault.position) == (ExitCode.SQL_ERROR, where)


@pytest.mark.parametrize("sql", ["", "   ", ";", "-- only words"])
def test_a_text_without_a_statement_is_an_sql_error(refusal, sql: str):
    assert refusal(sql).code == ExitCode.SQL_ERROR


def test_a_nul_character_is_refused_because_the_parser_would_stop_there(refusal):
    assert "must not contain NUL" in refusal("SELECT 1 \0; DROP TABLE t").message


def test_parameters_are_told_by_statement(connection: duckdb.DuckDBPyConnection):
    script = policy.read(connection, "CREATE TEMP TABLE a AS SELECT $x AS x; SELECT $y + $Z FROM a")
    assert [{name.lower() for name in names} for names in script.parameters] == [{"x"}, {"y", "z"}]
