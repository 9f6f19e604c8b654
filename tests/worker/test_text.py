"""SQL as text: pieces, words and places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querytask_worker.text import (
    Edit,
    before_edits,
    characters,
    pieces,
    position,
    quote_name,
    quote_text,
    with_types,
    words,
)


@pytest.mark.parametrize(
    ("sql", "texts"),
    [
        pytest.param("SELECT 1", ["SELECT 1"], id="one"),
        pytest.param("SELECT 1; SELECT 2;", ["SELECT 1", " SELECT 2"], id="two"),
        pytest.param(
            "SELECT ';'; -- a;b\nSELECT 2", ["SELECT ';'", " -- a;b\nSELECT 2"], id="in text, comment"
        ),
        pytest.param("SELECT $$;$$ /* ; */", ["SELECT $$;$$ /* ; */"], id="in dollars, in a block comment"),
        pytest.param('SELECT ";" FROM "ä;"', ['SELECT ";" FROM "ä;"'], id="in names"),
        pytest.param(";;  ; /* nothing */ ;", [], id="nothing"),
    ],
)
def test_pieces_are_what_lies_between_semicolons_that_separate(sql: str, texts: list[str]):
    assert [piece.text for piece in pieces(sql)] == texts


@given(
    st.lists(st.sampled_from(["SELECT 'ä;'", "FROM t -- ;\n", "SELECT $$;$$", " ", "/* ; */"]), max_size=6)
)
def test_pieces_lie_where_they_say(parts: list[str]):
    """Whatever the mixture, a piece is found in the whole at its start."""
    sql = ";".join(parts)
    for piece in pieces(sql):
        assert sql[piece.start : piece.start + len(piece.text)] == piece.text


def test_words_are_upper_case_names_without_quotes():
    assert words("""select "a""b", 'x;y', f(1) -- c""") == [
        "SELECT",
        'A"B',
        ",",
        "'",
        ",",
        "F",
        "(",
        "1",
        ")",
    ]


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, "1:1"), (3, "1:4"), (4, "2:1"), (6, "2:3"), (7, "3:1"), (99, "3:2")],
)
def test_a_position_counts_lines_and_characters_from_one(offset: int, expected: str):
    assert position("äöü\nab\nc", offset) == expected


def test_bytes_become_characters():
    assert characters("aäb", 3) == 2


def test_quoting_doubles_the_quotes():
    assert (quote_name('a"b'), quote_text("a'b")) == ('"a""b"', "'a''b'")


def test_types_are_written_only_where_the_parameter_stands():
    text, edits = with_types("SELECT $d, '$d', $D, $dd -- $d", {"d": "DATE"})
    assert text == "SELECT CAST($d AS DATE), '$d', CAST($D AS DATE), $dd -- $d"
    assert edits == (Edit(7, 2, 16), Edit(17, 2, 16))


def test_a_place_in_the_edited_text_is_found_in_the_original():
    sql = "SELECT $d, foo, $d, bar"
    text, edits = with_types(sql, {"d": "DATE"})
    for word in ("SELECT", "foo", "bar"):
        assert before_edits(text.index(word), edits) == sql.index(word)
    assert before_edits(text.index("AS DATE"), edits) == sql.index("$d")
