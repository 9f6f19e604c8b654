"""Words that a user asks for, as a question to the index of words. For ``search_filter`` and ``search_path``.

What is a word, SQLite's tokenizer decides, for the index and for the question alike, and on PostgreSQL, too:
letters, digits and the underscore, so that an identifier is one word. Nothing of the user's text but such
words, each in quotes, becomes part of the question; so no sign in it can mean anything.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from querytask.adapters.store import sqlite
from querytask.adapters.store.columns import clean
from querytask.core.listing import QuestionRefused

MOST_WORDS = 64
LEAST_PREFIX = 2
"""How many characters must stand before a ``*``: fewer would name half of the index."""
TOKENIZER = "unicode61 remove_diacritics 0 tokenchars '_'"

_PLAIN = re.compile(r"\w+\*?", re.ASCII)
_WORD = re.compile(r"\w+", re.ASCII)

LEXEME_BYTES = 2046
"""So much of a word PostgreSQL can hold."""

task_words = sa.table("task_words", sa.column("rowid", sa.BigInteger))
"""The index: ``rowid`` is the place of a task."""


class _Asked(sa.types.TypeDecorator[tuple[str, ...]]):
    """Words that must all stand in a text, as the index of a database wants to be asked."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: sa.Dialect) -> str:
        asked = value or ()
        if dialect.name == "postgresql":
            return " & ".join(
                f"'{lexeme(word[:-1])}':*" if word.endswith("*") else f"'{lexeme(word)}'" for word in asked
            )
        return " AND ".join(f'"{word[:-1]}" *' if word.endswith("*") else f'"{word}"' for word in asked)


class _Matches(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        # A condition as it stands: where there are no booleans the library would compare it with 1.
        return self


@compiles(_Matches, "sqlite")
def _on_sqlite(element: _Matches, compiler: Any, **options: Any) -> str:
    return f"task_words.task_words MATCH {compiler.process(element.clauses, **options)}"


@compiles(_Matches, "postgresql")
def _on_postgresql(element: _Matches, compiler: Any, **options: Any) -> str:
    return f"task_words.words @@ CAST({compiler.process(element.clauses, **options)} AS tsquery)"


def words(text: str) -> tuple[str, ...]:
    """The words of ``text``, each once; raises ``QuestionRefused`` for a text that has none, for too many and
    for too short a beginning. An empty text has none, and asks for nothing."""
    found = tuple(dict.fromkeys(_words(clean(text))))
    if text and not found:
        raise _refused(text, "text must have a word: letters, digits or _")
    if len(found) > MOST_WORDS:
        raise _refused(text, f"text must have at most {MOST_WORDS} words, not {len(found)}")
    for word in found:
        if word.endswith("*") and len(word) <= LEAST_PREFIX:
            raise _refused(text, f'text must have {LEAST_PREFIX} characters before each *, not "{word}"')
    return found


def _refused(text: str, sentence: str) -> QuestionRefused:
    return QuestionRefused(sentence, field="text", value=text)


def match(text: str) -> sa.ColumnElement[bool]:
    """All words of ``text`` stand in the SQL of the row of ``task_words``."""
    return _Matches(sa.bindparam(None, words(text), type_=_Asked()))


def stand_in(place: sa.ColumnElement[int], text: str) -> sa.ColumnElement[bool]:
    """All words of ``text`` stand in the SQL of the task of that place."""
    found = sa.select(task_words.c.rowid).where(match(text), task_words.c.rowid == place)
    return found.correlate_except(task_words).exists()


_AMONG: dict[str, Any] = {
    # The plus keeps FTS5 from searching anew for each place: the index is walked once.
    "sqlite": sa.text("+task_words.rowid IN (SELECT value FROM json_each(:places))"),
    "postgresql": sa.text(
        "task_words.rowid IN (SELECT value::bigint FROM json_array_elements_text(CAST(:places AS json)))"
    ),
}


def standing(connection: sa.Connection, text: str, places: Sequence[int]) -> set[int]:
    """Those of the places whose task has all words of ``text`` in its SQL: one question, however many."""
    if not places:
        return set()
    place = task_words.c.rowid
    among = _AMONG[connection.dialect.name].bindparams(places=json.dumps(list(places)))
    question = sa.select(place).where(match(text), place.between(min(places), max(places)), among)
    return set(connection.execute(question).scalars())


def tokens(text: str) -> tuple[str, ...]:
    """The words of a whole text, as the tokenizer finds them."""
    known = clean(text)
    return tuple(word.lower() for word in _WORD.findall(known)) if known.isascii() else _tokenized(known)


def lexeme(word: str) -> str:
    """As much of a word as PostgreSQL can hold."""
    if len(word) * 4 <= LEXEME_BYTES:
        return word
    return word.encode()[:LEXEME_BYTES].decode("utf-8", "ignore")


def _words(text: str) -> Iterator[str]:
    if text.isascii():
        yield from (found.lower() for found in _PLAIN.findall(text))
        return
    for piece in text.split():
        found = _tokens(piece)
        yield from found[:-1]
        yield from (word + "*" if piece.endswith("*") else word for word in found[-1:])


@lru_cache(maxsize=256)
def _tokens(piece: str) -> tuple[str, ...]:
    return _tokenized(piece)


def _tokenized(piece: str) -> tuple[str, ...]:
    """What the tokenizer makes of ``piece``: asked of an empty database, for no table of ours tells."""
    with contextlib.closing(sqlite.driver().connect(":memory:")) as connection:
        connection.execute(f'CREATE VIRTUAL TABLE asked USING fts5(piece, tokenize="{TOKENIZER}")')
        connection.execute("CREATE VIRTUAL TABLE token USING fts5vocab(asked, 'instance')")
        connection.execute("INSERT INTO asked VALUES (?)", (piece,))
        rows: list[Any] = connection.execute('SELECT term FROM token ORDER BY "offset"').fetchall()
    return tuple(row[0] for row in rows)
