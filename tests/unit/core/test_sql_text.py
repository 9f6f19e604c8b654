"""Spellings of one query share a form; other queries never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querytask.core.sql_text import normal, normal_hash

SAME = [
    ("SELECT a FROM t", "select A\n\tfrom T ;"),
    ("SELECT a+b", "select a + b;;"),
    ("SELECT a -- why\nFROM t", "SELECT a FROM t"),
    ("SELECT a /* why /* nested */ still */ FROM t", "SELECT a FROM t"),
    ("SELECT 1/*one*/+2", "SELECT 1 + 2"),
    ("SELECT a---b\n", "SELECT a"),
    ("SELECT count( * )", "select COUNT(*)"),
    ("SELECT a -- at the end", "SELECT a"),
    ("SELECT t.a>=1", "SELECT t . a >= 1"),
    ("", " ; -- nothing\n"),
]
OTHER = [
    ("SELECT 'A'", "SELECT 'a'"),
    ("SELECT ' a'", "SELECT 'a'"),
    ('SELECT "A"', 'SELECT "a"'),
    ("SELECT '--'", "SELECT ''"),
    ("SELECT 'it''s --x'", "SELECT 'it''s'"),
    (r"SELECT E'a\' --'", r"SELECT E'a\' '"),
    ("SELECT $$A$$", "SELECT $$a$$"),
    ("SELECT $q$ -- $$ $q$", "SELECT $q$ $$ $q$"),
    ("SELECT $Minutes", "SELECT $minutes"),
    ("SELECT 11", "SELECT 1 1"),
    ("SELECT ab", "SELECT a b"),
    ("SELECT a >= b", "SELECT a > = b"),
    ("SELECT 1.5", "SELECT 15"),
    ("SELECT 'a' ; SELECT b", "SELECT 'a' SELECT b"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_another_spelling_is_the_same(one: str, other: str) -> None:
    """Blanks, comments, case outside quotes, and semicolons at the end do not count."""
    assert normal(one) == normal(other)
    assert normal_hash(one) == normal_hash(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_query_is_not(one: str, other: str) -> None:
    """What stands in quotes counts to the letter, and so does where a token ends."""
    assert normal_hash(one) != normal_hash(other)


PIECES = st.sampled_from(
    [
        "select",
        "A",
        "'",
        '"',
        "$$",
        "$a$",
        "--",
        "/*",
        "*/",
        "\n",
        " ",
        ";",
        "-",
        "/",
        "1.5",
        "é",
        "\x00",
        "\ud800",
    ]
)


@given(st.lists(PIECES).map("".join))
def test_any_text_has_a_form(sql: str) -> None:
    """Also what is no SQL: unclosed quotes and comments reach to the end; blanks before it never count."""
    assert normal(" \n" + sql) == normal(sql) == normal("/**/" + sql)
    assert len(normal_hash(sql)) == 64
