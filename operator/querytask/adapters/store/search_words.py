"""Words that a user asks for, as a question to the index of words. For ``search_filter`` and ``search_path``.

What is a word, SQLite's tokenizer decides, for the index and for the question alike: letters, digits and the
underscore, so that an identifier is one word. Nothing of the user's text but such words, each in quotes,
becomes part of the question; so no sign in it can mean anything.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from querytask.adapters.store import sqlite
from querytask.adapters.store.columns import clean

MOST_WORDS = 64
LEAST_PREFIX = 2
"""How many characters must stand before a ``*``: fewer would name half of the index."""
TOKENIZER = "unicode61 remove_diacritics 0 tokenchars '_'"

_PLAIN = re.compile(r"\w+\*?", re.ASCII)

task_words = sa.table("task_words", sa.column("rowid", sa.BigInteger), sa.column("task_words", sa.Text))
"""The index: ``rowid`` is the place of a task."""


def words(text: str) -> tuple[str, ...]:
    """The words of ``text``, each once; raises ``ValueError`` for too many and for too short a beginning."""
    found = tuple(dict.fromkeys(_words(clean(text))))
    if len(found) > MOST_WORDS:
        raise ValueError(f"text must have at most {MOST_WORDS} words, not {len(found)}")
    for word in found:
        if word.endswith("*") and len(word) <= LEAST_PREFIX:
            raise ValueError(f'text must have {LEAST_PREFIX} characters before each *, not "{word}"')
    return found


def match(text: str) -> sa.ColumnElement[bool]:
    """All words of ``text`` stand in the SQL of the row of ``task_words``."""
    asked = " AND ".join(f'"{word[:-1]}" *' if word.endswith("*") else f'"{word}"' for word in words(text))
    return task_words.c.task_words.op("MATCH", is_comparison=True)(asked)


def stand_in(place: sa.ColumnElement[int], text: str) -> sa.ColumnElement[bool]:
    """All words of ``text`` stand in the SQL of the task of that place."""
    found = sa.select(task_words.c.rowid).where(match(text), task_words.c.rowid == place)
    return found.correlate_except(task_words).exists()


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
    """What the tokenizer makes of ``piece``: asked of an empty database, for no table of ours tells."""
    with contextlib.closing(sqlite.driver().connect(":memory:")) as connection:
        connection.execute(f'CREATE VIRTUAL TABLE asked USING fts5(piece, tokenize="{TOKENIZER}")')
        connection.execute("CREATE VIRTUAL TABLE token USING fts5vocab(asked, 'instance')")
        connection.execute("INSERT INTO asked VALUES (?)", (piece,))
        rows: list[Any] = connection.execute('SELECT term FROM token ORDER BY "offset"').fetchall()
    return tuple(row[0] for row in rows)
