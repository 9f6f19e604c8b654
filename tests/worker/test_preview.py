"""Preview rows: every type of DuckDB as valid JSON, exact, within bounds, whichever way the result goes."""

from __future__ import annotations

import json

import pytest

from querytask_worker import preview
from querytask_worker.contract import CELL_BYTES, PREVIEW_BYTES
from tests.worker.builders import CSV, JSON, PARQUET

CELLS = [
    ("1::TINYINT", "1"),
    ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
    ("340282366920938463463374607431768211455::UHUGEINT", "340282366920938463463374607431768211455"),
    ("18446744073709551615::UBIGINT", "18446744073709551615"),
    ("12345678901234567890.12::DECIMAL(38,10)", "12345678901234567890.1200000000"),
    ("-0.12::DECIMAL(2,2)", "-0.12"),
    ("0.1::FLOAT", "0.1"),
    ("1e300::DOUBLE", "1e+300"),
    ("'nan'::DOUBLE", '"NaN"'),
    ("'-inf'::FLOAT", '"-Infinity"'),
    ("true", "true"),
    ("NULL", "null"),
    ("NULL::DATE", "null"),
    ("'it''s \"quoted\"' || chr(10) || 'ä'", '"it\'s \\"quoted\\"\\nä"'),
    ("'a' || chr(0) || 'b'", '"a\\u0000b"'),
    ("''", '""'),
    ("'\\x00\\xFFa'::BLOB", '"\\\\x00\\\\xFFa"'),
    ("'10101'::BIT", '"10101"'),
    ("'y'::ENUM('x', 'y')", '"y"'),
    ("'69315e0e-eb8f-4454-b435-547e4f5887d1'::UUID", '"69315e0e-eb8f-4454-b435-547e4f5887d1"'),
    ("INTERVAL '14 months 3 days 4.000001 s'", '"1 year 2 months 3 days 00:00:04.000001"'),
    ("DATE '2026-11-22'", '"2026-11-22"'),
    ("'infinity'::DATE", '"infinity"'),
    ("'0044-03-15 (BC)'::DATE", '"0044-03-15 (BC)"'),
    ("TIME '12:34:56.789'", '"12:34:56.789"'),
    ("'12:00:00+03:30'::TIMETZ", '"12:00:00+03:30"'),
    ("'2026-11-22 10:00:00'::TIMESTAMP_S", '"2026-11-22T10:00:00"'),
    ("'2026-11-22 10:00:00.123'::TIMESTAMP_MS", '"2026-11-22T10:00:00.123"'),
    ("'2026-11-22 10:00:00.123456789'::TIMESTAMP_NS", '"2026-11-22T10:00:00.123456789"'),
    ("'294247-01-10 04:00:54.775806'::TIMESTAMP", '"294247-01-10T04:00:54.775806"'),
    ("'-infinity'::TIMESTAMP", '"-infinity"'),
    ("'0044-03-15 (BC) 10:00:00'::TIMESTAMP", '"0044-03-15 (BC) 10:00:00"'),
    ("'2026-11-22 12:00:00+02'::TIMESTAMPTZ", '"2026-11-22T10:00:00Z"'),
    ("[1.5, 'nan'::DOUBLE]", '[1.5,"NaN"]'),
    ("[0.12::DECIMAL(2,2)]", "[0.12]"),
    ("[170141183460469231731687303715884105727::HUGEINT]", "[170141183460469231731687303715884105727]"),
    ("{'a': 1, 'b': [NULL, 'NaN']}", '{"a":1,"b":[null,"NaN"]}'),
    ("MAP {'k': DATE '2026-01-01'}", '{"k":"2026-01-01"}'),
    ("[1, 2]::INTEGER[2]", "[1,2]"),
    ("'{\"a\": [1e400, null]}'::JSON", '{"a":[1e400,null]}'),
    ("5::BIGNUM", "5"),
    ("'12:34:56.789123456'::TIME_NS", '"12:34:56.789123456"'),
    ("'POINT(1 2)'::GEOMETRY", '"POINT (1 2)"'),
]
WAYS = {"counted": None, "Parquet": PARQUET, "CSV": CSV, "JSON": JSON}
NOT_KEPT = {
    ("JSON", "0.1::FLOAT"): "0.10000000149011612",
    ("JSON", "1e300::DOUBLE"): "1e300",
}
"""The text of a JSON file is shown as it is."""


@pytest.mark.parametrize("way", WAYS)
def test_every_type_is_shown_exactly(run, way: str):
    """One query with all types, so that each way is run once; the rows differ only where the file itself
    does.
    """
    columns = ", ".join(f"{expression} AS c{index}" for index, (expression, _) in enumerate(CELLS))
    row = run(f"SELECT {columns}", export=WAYS[way]).rows[0]
    shown = _cells(row)
    expected = [NOT_KEPT.get((way, expression), cell) for expression, cell in CELLS]
    assert {e: s for (e, _), s, x in zip(CELLS, shown, expected, strict=True) if s != x} == {}


def _cells(row: str) -> list[str]:
    """The texts of a row's cells, whose numbers stay as they are written."""

    class Raw(str):
        __slots__ = ()

    def text(value) -> str:
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, list):
            return "[" + ",".join(map(text, value)) + "]"
        if isinstance(value, dict):
            return "{" + ",".join(f"{json.dumps(key)}:{text(item)}" for key, item in value.items()) + "}"
        return json.dumps(value, ensure_ascii=False)

    def refuse(word: str):
        raise AssertionError(f"{word} is no JSON")

    parsed = json.loads(row, parse_int=Raw, parse_float=Raw, parse_constant=refuse)
    return [text(value) for value in parsed]


@pytest.mark.parametrize("way", WAYS)
def test_duckdbs_own_sample_of_all_types_survives(run, way: str):
    """Extremes, zeros and NULLs of every type that DuckDB has."""
    ran = run("FROM test_all_types()", export=WAYS[way])
    assert ran.fault is None
    assert [len(json.loads(row)) for row in ran.rows] == [len(ran.types)] * 3


@pytest.mark.parametrize("way", WAYS)
def test_names_may_be_there_twice_empty_looking_or_strange(run, way: str):
    ran = run('SELECT 1 AS a, 2 AS a, 3 AS "A", 4 AS " ", 5 AS "ä""\'", 6 AS "c0"', export=WAYS[way])
    assert [column.name for column in ran.manifest.columns] == ["a", "a", "A", " ", "ä\"'", "c0"]
    assert ran.rows == ("[1,2,3,4,5,6]",)


@pytest.mark.parametrize("way", ["counted", "Parquet"])
def test_500_columns(run, way: str):
    columns = ", ".join(f"range + {index} AS column_{index}" for index in range(500))
    wide = run(f"SELECT {columns} FROM range(3)", export=WAYS[way])
    assert [len(json.loads(row)) for row in wide.rows] == [500] * 3


@pytest.mark.parametrize("way", WAYS)
def test_no_rows(run, way: str):
    empty = run("SELECT 1 AS a WHERE false", export=WAYS[way])
    assert (empty.rows, empty.manifest.rows, empty.manifest.preview.truncated) == ((), 0, False)


@pytest.mark.parametrize("way", WAYS)
def test_a_cell_of_10_mb_is_cut_and_the_result_is_whole(run, way: str):
    ran = run("SELECT repeat('ä', 5_000_000) AS a, repeat('x', 9_000)::BLOB AS b, 1 AS c", export=WAYS[way])
    a, b, c = json.loads(ran.rows[0])
    assert (a[0], a[-1], b[:2], b[-1], c) == ("ä", "…", "xx", "…", 1)
    assert len(ran.rows[0].encode()) <= 2 * CELL_BYTES + 5
    assert ran.manifest.preview.truncated
    assert ran.manifest.rows == 1


def test_a_long_list_is_cut_as_text(run):
    shown = json.loads(run("SELECT range(100000) AS l").rows[0])[0]
    assert shown.startswith("[0,1,2,")
    assert shown.endswith("…")


@pytest.mark.parametrize("way", WAYS)
def test_the_first_rows_are_shown_in_the_querys_order(run, way: str):
    ran = run("SELECT range AS r FROM range(5000) ORDER BY r DESC", preview_rows=3, export=WAYS[way])
    assert (ran.rows, ran.manifest.rows, ran.manifest.preview.truncated) == (
        ("[4999]", "[4998]", "[4997]"),
        5000,
        True,
    )


def test_as_many_rows_as_asked_for_are_not_truncated(run):
    ran = run("FROM range(3)", preview_rows=3)
    assert (len(ran.rows), ran.manifest.preview.truncated) == (3, False)


@pytest.mark.parametrize("way", ["counted", "CSV"])
def test_a_preview_of_no_rows_is_possible(run, way: str):
    ran = run("FROM range(3)", preview_rows=0, export=WAYS[way])
    assert (ran.rows, ran.manifest.rows, ran.manifest.preview.truncated) == ((), 3, True)


def test_the_whole_preview_is_bounded(run):
    ran = run("SELECT repeat('x', 3000) AS x FROM range(1000)", preview_rows=1000)
    assert ran.manifest.preview.truncated
    assert PREVIEW_BYTES - 4000 < sum(len(row) for row in ran.rows) <= PREVIEW_BYTES


def test_a_cut_cell_is_valid_json_within_the_bound():
    for text in ('"' + '\\"' * 5000 + '"', '"' + "漢" * 5000 + '"', "[" + "1," * 5000, '"\\u0000' * 3000):
        built = preview.build([[text]], more=False)
        assert built.truncated
        assert json.loads(built.rows[0])[0].endswith("…")
        assert len(built.rows[0].encode()) <= CELL_BYTES + 2


def test_words_inside_texts_are_left_alone():
    built = preview.build([['{"NaN":"-Infinity .5","x":[NaN,-Infinity,.5]}']], more=False)
    assert built.rows == ('[{"NaN":"-Infinity .5","x":["NaN","-Infinity",0.5]}]',)
