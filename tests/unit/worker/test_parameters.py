"""Bound values: every type of the closed set exactly, and a reason that names the parameter for everything else."""

from __future__ import annotations

import pytest
from querytask_worker.contract import ExitCode, Parameter

EXACT = [
    ("BOOLEAN", "true", "true"),
    ("TINYINT", "-128", "-128"),
    ("INTEGER", "60", "60"),
    ("BIGINT", "-9223372036854775808", "-9223372036854775808"),
    ("HUGEINT", "170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
    ("UBIGINT", "18446744073709551615", "18446744073709551615"),
    ("UHUGEINT", "340282366920938463463374607431768211455", "340282366920938463463374607431768211455"),
    ("DECIMAL(38,36)", "1.234567890123456789012345678901234567", "1.234567890123456789012345678901234567"),
    ("DECIMAL(18, 3)", "0.1", "0.100"),
    ("DECIMAL", "0.1", "0.100"),
    ("FLOAT", "0.1", "0.1"),
    ("DOUBLE", "nan", '"NaN"'),
    ("DOUBLE", "1e300", "1e+300"),
    ("VARCHAR", "it's; DROP TABLE x --", '"it\'s; DROP TABLE x --"'),
    ("VARCHAR", "", '""'),
    ("VARCHAR", "a\0b", '"a\\u0000b"'),
    ("DATE", "2026-02-28", '"2026-02-28"'),
    ("DATE", "290000-01-01", '"290000-01-01"'),
    ("DATE", "infinity", '"infinity"'),
    ("TIME", "12:34:56.789", '"12:34:56.789"'),
    ("TIMESTAMP", "294247-01-10 04:00:54.775806", '"294247-01-10T04:00:54.775806"'),
    ("TIMESTAMPTZ", "2026-01-01 00:00:00+02", '"2025-12-31T22:00:00Z"'),
    ("INTERVAL", "14 months 3 days 00:00:00.000001", '"1 year 2 months 3 days 00:00:00.000001"'),
    ("UUID", "ae6d9d0c-7f0b-4a9c-8c8a-1f2f3a4b5c6d", '"ae6d9d0c-7f0b-4a9c-8c8a-1f2f3a4b5c6d"'),
    ("BLOB", "\\x00\\xFFa", '"\\\\x00\\\\xFFa"'),
]
LISTS = [
    ("INTEGER[]", ("1", None, "3"), "[1,null,3]"),
    ("HUGEINT[]", ("170141183460469231731687303715884105727",), "[170141183460469231731687303715884105727]"),
    ("DECIMAL(10,3)[]", ("1.5",), "[1.5]"),
    ("VARCHAR[]", ("a,b", "]'", ""), '["a,b","]\'",""]'),
    ("DATE[]", (), "[]"),
    ("INTERVAL[]", ("1 month",), '["1 month"]'),
]
SPELLED = {
    "DECIMAL": "DECIMAL(18,3)",
    "DECIMAL(18, 3)": "DECIMAL(18,3)",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
}


@pytest.mark.parametrize(("kind", "value", "shown"), EXACT, ids=[f"{kind} {value[:20]!r}" for kind, value, _ in EXACT])
def test_a_value_arrives_exactly_as_the_declared_type(run, kind: str, value: str, shown: str):
    ran = run("SELECT $v AS v", parameters=(Parameter("v", kind, value),))
    assert (ran.rows, ran.types) == ((f"[{shown}]",), [SPELLED.get(kind, kind)])


@pytest.mark.parametrize(("kind", "values", "shown"), LISTS, ids=[f"{kind} {values}" for kind, values, _ in LISTS])
def test_a_list_arrives_exactly(run, kind: str, values: tuple[str | None, ...], shown: str):
    ran = run("SELECT $v AS v", parameters=(Parameter("v", kind, values=values),))
    assert (ran.rows, ran.types) == ((f"[{shown}]",), [kind])


@pytest.mark.parametrize("kind", ["DATE", "HUGEINT", "DECIMAL(10,2)", "VARCHAR", "INTEGER[]"])
def test_an_absent_value_is_a_null_of_its_type(run, kind: str):
    ran = run("SELECT $v AS v, $V IS NULL AS n", parameters=(Parameter("v", kind),))
    assert (ran.rows, ran.types) == (("[null,true]",), [kind, "BOOLEAN"])


def test_a_typed_null_chooses_among_functions(run):
    """A NULL without a type would leave ``year`` ambiguous."""
    assert run("SELECT year($d)", parameters=(Parameter("d", "DATE"),)).rows == ("[null]",)


def test_the_place_of_an_error_behind_a_typed_null_is_the_users(run):
    ran = run("SELECT $d,\n  foo", parameters=(Parameter("d", "DATE"),))
    assert (ran.fault.code, ran.fault.position) == (ExitCode.SQL_ERROR, "2:3")


def test_parameters_know_no_case_and_may_be_used_often(run):
    ran = run("SELECT $minutes + $MINUTES", parameters=(Parameter("Minutes", "INTEGER", "21"),))
    assert ran.rows == ("[42]",)


def test_a_table_that_prepares_may_use_parameters_of_its_own(run):
    """A CREATE TABLE takes values; what only it uses counts as used."""
    parameters = (Parameter("a", "INTEGER", "1"), Parameter("b", "INTEGER", "2"))
    assert run("CREATE TEMP TABLE t AS SELECT $a AS a; SELECT a + $b FROM t", parameters=parameters).rows == ("[3]",)


def test_a_view_takes_no_parameter_and_says_so(run):
    """DuckDB stores the text of a view, so there is nothing to bind: its own message is told."""
    ran = run("CREATE TEMP VIEW v AS SELECT $a; FROM v", parameters=(Parameter("a", "INTEGER", "1"),))
    assert ran.fault.code == ExitCode.SQL_ERROR


WRONG = [
    ("SELECT $a", (), ["$a must be given"]),
    ("SELECT 1", (Parameter("a", "INTEGER", "1"),), ["'a'", "INTEGER", "'1'", "must be used"]),
    ("SELECT $a", (Parameter("a", "INTEGER", "abc"),), ["'a'", "INTEGER", "'abc'", "cannot be cast", "INT32"]),
    ("SELECT $a", (Parameter("a", "TINYINT", "300"),), ["'a'", "TINYINT", "'300'"]),
    ("SELECT $a", (Parameter("a", "DATE", "2026-02-30"),), ["'a'", "DATE", "'2026-02-30'"]),
    ("SELECT $a", (Parameter("a", "DECIMAL(4,2)", "123.45"),), ["'a'", "DECIMAL(4,2)", "'123.45'"]),
    ("SELECT $a", (Parameter("a", "UUID", "x"),), ["'a'", "UUID", "'x'"]),
    ("SELECT $a", (Parameter("a", "BLOB", "\\xZZ"),), ["'a'", "BLOB"]),
    ("SELECT $a", (Parameter("a", "INTEGER[]", values=("1", "x")),), ["'a'", "INTEGER[]", "['1', 'x']"]),
    ("SELECT $a", (Parameter("a", "INTEGER", "9" * 500),), ["9" * 70, "…"]),
    ("SELECT $a", (Parameter("a", "INTEGER[]", "1"),), ["'a'", "must have values"]),
    ("SELECT $a", (Parameter("a", "INTEGER", values=("1",)),), ["'a'", "must have value:"]),
    ("SELECT $a", (Parameter("a", "INTEGER[]", "1", ("1",)),), ["value or values, not both"]),
    ("SELECT $a", (Parameter("a", "JSON", "1"),), ["'a'", "JSON", "closed set"]),
    ("SELECT $a", (Parameter("a", "INTEGER) --", "1"),), ["closed set"]),
    ("SELECT $a", (Parameter("a", "DECIMAL(39,1)", "1"),), ["closed set"]),
    ("SELECT $a", (Parameter("a", "DECIMAL(5,6)", "1"),), ["'a'", "DECIMAL(5,6)"]),
    ("SELECT $a", (Parameter("a b", "INTEGER", "1"),), ["must match", "'a b'"]),
    ("SELECT $a", (Parameter("a", "INTEGER", "1"), Parameter("A", "INTEGER", "1")), ["'A' must be given once"]),
    ("SELECT ?", (Parameter("a", "INTEGER", "1"),), ["must be written with a name"]),
    ("SELECT $1", (Parameter("a", "INTEGER", "1"),), ["must be written with a name"]),
]


@pytest.mark.parametrize(("sql", "parameters", "told"), WRONG, ids=[f"{sql} {params}"[:60] for sql, params, _ in WRONG])
def test_a_wrong_parameter_is_named_with_its_type_and_value(run, sql: str, parameters, told: list[str]):
    fault = run(sql, parameters=parameters).fault
    assert fault.code == ExitCode.PARAMETER_ERROR
    assert [part for part in told if part not in fault.message] == []


def test_no_value_is_logged(run, lines: list[bytes]):
    run("SELECT $secret", parameters=(Parameter("secret", "VARCHAR", "hunter2"),))
    assert lines
    assert b"hunter2" not in b"".join(lines)
