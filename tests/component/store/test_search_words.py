"""Words of the SQL: what is one, and that no text of a user can be more than words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querytask.adapters.store import Store, schema, search_path, search_words
from querytask.adapters.store.search_filter import Kind
from querytask.adapters.store.search_words import LEAST_PREFIX, MOST_WORDS, words
from querytask.core.listing import PageRequest, QuestionRefused, TaskFilter
from querytask.names import Phase
from tests.component.store.builders import at, task
from tests.component.store.databases import Database


async def ask(history: Store, text: str) -> str:
    page = await history.search(
        TaskFilter(namespace="analytics", text=text), PageRequest(descending=False, limit=1000)
    )
    return " ".join(item.uid for item in page.items)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("SELECT carrier, count(*)", ("select", "carrier", "count")),
        ("late_flights.year", ("late_flights", "year")),
        ("carr* CARR*", ("carr*",)),
        ("Übung straße", ("übung", "straße")),
        ("'flights/2024-*.parquet'", ("flights", "2024", "parquet")),
        ("日本 café*", ("日本", "café*")),
        ("e\u0301cole", ("e\u0301cole",)),
        ("a\ud800b", ("a", "b")),
        ('NEAR(a b) OR "x" AND NOT y*', ("near", "a", "b", "or", "x", "and", "not")),
    ],
)
def test_words(text: str, found: tuple[str, ...]) -> None:
    """Letters, digits and the underscore, in any case, each once; all else stands between words."""
    if text.endswith("y*"):
        text = text.removesuffix(" y*")
    assert words(text) == found


def test_words_have_bounds() -> None:
    """Too many, and a beginning that would name half of the index."""
    with pytest.raises(QuestionRefused, match=f"at most {MOST_WORDS} words, not {MOST_WORDS + 1}"):
        words(" ".join(f"w{number}" for number in range(MOST_WORDS + 1)))
    with pytest.raises(QuestionRefused, match=rf'{LEAST_PREFIX} characters before each \*, not "a\*"'):
        words("late a*")


@pytest.mark.parametrize("text", [" ", " \t\x00 ;-- !!", "==", "*", "\u2026 \U0001f4a5"])
async def test_a_text_without_a_word_is_refused(history: Store, text: str) -> None:
    """It would ask for nothing, and all tasks would be told as those that match."""
    await history.record(task("a"))
    with pytest.raises(QuestionRefused, match="text must have a word: letters, digits or _"):
        await ask(history, text)


def test_index_and_question_have_one_tokenizer() -> None:
    """Else a word could stand in a text and never be found."""
    assert search_words.TOKENIZER in schema.WORDS[0]


async def test_all_words_must_stand_in_the_text(history: Store) -> None:
    """In any order and case; a beginning with a star; never a part of a word."""
    await history.record(task("a", sql="SELECT carrier FROM late_flights -- Übung"))
    await history.record(
        task("b", sql="SELECT tail FROM 'flights/x.parquet' WHERE note = 'it''s \x00 \"late\"'")
    )
    assert await ask(history, "FROM select") == "a b"
    assert await ask(history, "carr*") == "a"
    assert await ask(history, "carr") == ""
    assert await ask(history, "flights") == "b"
    assert await ask(history, "late_flights") == "a"
    assert await ask(history, "late") == "b"
    assert await ask(history, "'flights/x.parquet'") == "b"
    assert await ask(history, "übung") == "a"
    assert await ask(history, "ubung") == ""


async def test_the_index_follows_the_tasks(history: Store) -> None:
    """A text that was not known at first is indexed when it is, in the same step."""
    await history.record(task("a", sql=""))
    assert await ask(history, "late") == ""
    await history.record(task("a", Phase.RUNNING, sql="SELECT late"))
    assert await ask(history, "late") == "a"
    await history.record(task("b", sql="SELECT late"))
    assert await ask(history, "late") == "a b"


async def test_a_forgotten_task_leaves_no_words(history: Store, database: Database) -> None:
    """Nor does a text that another has taken the place of."""
    await history.record(task("a", Phase.SUCCEEDED, sql=""))
    await history.record(task("a", Phase.SUCCEEDED, sql="SELECT late"))
    await history.record(task("b", sql="SELECT late"))
    found = search_path.few(Kind.TEXT, TaskFilter(namespace="analytics", text="late"))
    engine = database.reading()
    with engine.connect() as connection:
        assert len(connection.execute(found).all()) == 2
    await history.close_deleted("a", at(0))
    assert (await history.purge(["a"], at(9), at(1) - at(0))).gone == ("a",)
    with engine.connect() as connection:
        assert len(connection.execute(found).all()) == 1
    engine.dispose()


async def test_a_word_of_any_length_is_found(history: Store) -> None:
    """Though not every index can hold it whole."""
    words = ("x" * 5000, "é" * 2000, "日" * 700)
    for number, word in enumerate(words):
        await history.record(task(f"{number}", sql=f"SELECT {word} FROM t"))
    assert [await ask(history, word) for word in words] == ["0", "1", "2"]
    assert await ask(history, "x" * 2000 + "*") == "0"


async def test_a_text_of_any_number_of_words_is_recorded(history: Store) -> None:
    """Its first words are found, whatever an index can hold of it."""
    sql = "SELECT " + " ".join(f"word{number:07}" for number in range(100_000))
    stored = await history.record(task("a", sql=sql))
    assert stored.task.sql == sql
    assert await ask(history, "word0000000 word0050000") == "a"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=30) | st.text(alphabet="\"'*()^:-+{}%_\\;, \x00aäNEAROT", max_size=30))
async def test_any_text_is_safe(history: Store, text: str) -> None:
    """It finds the task whose SQL it is, or is refused with a sentence."""
    uid = "a" + text.encode("utf-8", "replace").hex()
    await history.record(task(uid, sql=f"SELECT 1 {text}"))
    if "*" in text or not search_words.tokens(text):
        with contextlib.suppress(ValueError):
            await ask(history, text)
    else:
        assert uid in (await ask(history, text)).split()
