"""Bound values: every type of the closed set exactly, and a reason that names the parameter for everything
else.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from querytask_worker import database
from querytask_worker.contract import ExitCode, Parameter
from querytask_worker.execution import Execution
from querytask_worker.faults import Fault
from querytask_worker.log import Log
from querytask_worker.parameters import bind
from querytask_worker.pool import ConnectionPool
from querytask_worker.registry import Registry

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


def test_every_value_arrives_exactly_as_the_declared_type(run):
    """All of them in one query; a list's element may be NULL."""
    given = [Parameter(f"v{index}", kind, value) for index, (kind, value, _) in enumerate(EXACT)]
    given += [Parameter(f"l{index}", kind, values=values) for index, (kind, values, _) in enumerate(LISTS)]
    ran = run("SELECT " + ", ".join(f"${parameter.name}" for parameter in given), parameters=tuple(given))
    assert ran.rows == ("[" + ",".join(shown for _, _, shown in (*EXACT, *LISTS)) + "]",)
    assert ran.types == [SPELLED.get(parameter.type, parameter.type) for parameter in given]


def test_an_absent_value_is_a_null_of_its_type(run):
    kinds = ["DATE", "HUGEINT", "DECIMAL(10,2)", "VARCHAR", "INTEGER[]"]
    given = tuple(Parameter(f"v{index}", kind) for index, kind in enumerate(kinds))
    ran = run("SELECT $v0, $V1, $v2, $v3, $v4", parameters=given)
    assert (ran.rows, ran.types) == (("[null,null,null,null,null]",), kinds)


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
    assert run("CREATE TEMP TABLE t AS SELECT $a AS a; SELECT a + $b FROM t", parameters=parameters).rows == (
        "[3]",
    )


def test_a_view_takes_no_parameter_and_says_so(run):
    """DuckDB stores the text of a view, so there is nothing to bind: its own message is told."""
    ran = run("CREATE TEMP VIEW v AS SELECT $a; FROM v", parameters=(Parameter("a", "INTEGER", "1"),))
    assert ran.fault.code == ExitCode.SQL_ERROR


WRONG = [
    ("a", (), ["$a must be given"]),
    ("", (Parameter("a", "INTEGER", "1"),), ["'a'", "INTEGER", "'1'", "must be used"]),
    ("a", (Parameter("a", "INTEGER", "abc"),), ["'a'", "INTEGER", "'abc'", "cannot be cast", "INT32"]),
    ("a", (Parameter("a", "TINYINT", "300"),), ["'a'", "TINYINT", "'300'"]),
    ("a", (Parameter("a", "DATE", "2026-02-30"),), ["'a'", "DATE", "'2026-02-30'"]),
    ("a", (Parameter("a", "DECIMAL(4,2)", "123.45"),), ["'a'", "DECIMAL(4,2)", "'123.45'"]),
    ("a", (Parameter("a", "UUID", "x"),), ["'a'", "UUID", "'x'"]),
    ("a", (Parameter("a", "BLOB", "\\xZZ"),), ["'a'", "BLOB"]),
    ("a", (Parameter("a", "INTEGER[]", values=("1", "x")),), ["'a'", "INTEGER[]", "['1', 'x']"]),
    ("a", (Parameter("a", "INTEGER", "9" * 500),), ["9" * 70, "…"]),
    ("a", (Parameter("a", "INTEGER[]", "1"),), ["'a'", "must have values"]),
    ("a", (Parameter("a", "INTEGER", values=("1",)),), ["'a'", "must have value:"]),
    ("a", (Parameter("a", "INTEGER[]", "1", ("1",)),), ["value or values, not both"]),
    ("a", (Parameter("a", "JSON", "1"),), ["'a'", "JSON", "closed set"]),
    ("a", (Parameter("a", "INTEGER) --", "1"),), ["closed set"]),
    ("a", (Parameter("a", "DECIMAL(39,1)", "1"),), ["closed set"]),
    ("a", (Parameter("a", "DECIMAL(5,6)", "1"),), ["'a'", "DECIMAL(5,6)"]),
    ("a", (Parameter("a b", "INTEGER", "1"),), ["must match", "'a b'"]),
    ("a", (Parameter("a", "INTEGER", "1"), Parameter("A", "INTEGER", "1")), ["'A' must be given once"]),
    ("1", (Parameter("a", "INTEGER", "1"),), ["must be written with a name"]),
    ("2", (Parameter("a", "INTEGER", "1"),), ["must be written with a name"]),
]


@pytest.fixture(scope="module")
def execution() -> Iterator[Execution]:
    log = Log(lambda line: None)
    made = Execution(ConnectionPool(database.connect, log), Registry(log), log)
    yield made
    made.finish("task")
    assert made.close() == 0


@pytest.mark.parametrize(
    ("names", "parameters", "told"), WRONG, ids=[f"{given}"[:60] for _, given, _ in WRONG]
)
def test_a_wrong_parameter_is_named_with_its_type_and_value(execution: Execution, names, parameters, told):
    with pytest.raises(Fault) as caught:
        bind(execution, "task", parameters, frozenset(names))
    assert caught.value.code == ExitCode.PARAMETER_ERROR
    assert [part for part in told if part not in caught.value.message] == []


def test_a_wrong_parameter_ends_the_task(run):
    assert (
        run("SELECT $a", parameters=(Parameter("a", "INTEGER", "abc"),)).fault.code
        == ExitCode.PARAMETER_ERROR
    )
    assert (
        run("SELECT ?", parameters=(Parameter("a", "INTEGER", "1"),)).fault.code == ExitCode.PARAMETER_ERROR
    )


def test_no_value_is_logged(run, lines: list[bytes]):
    run("SELECT $secret", parameters=(Parameter("secret", "VARCHAR", "hunter2"),))
    assert lines
    assert b"hunter2" not in b"".join(lines)
