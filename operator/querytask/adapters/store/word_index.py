"""Fills the index of words on PostgreSQL, where no trigger can: which words a text has, SQLite's tokenizer
says on both databases. For ``steps``, in the transaction that brings a text, and ``copying``.

A word is cut where PostgreSQL's words end, for the index and for the question alike; of a text that has more
words than a row of the index takes, the first ones are found.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from querytask.adapters.store import search_words
from querytask.adapters.store.schema import tasks

MOST_BYTES = 1_000_000
"""Of all words of one text: a ``tsvector`` holds less than a mebibyte."""

_FILL = sa.text(
    "INSERT INTO task_words (rowid, words)"
    " SELECT place, array_to_tsvector(CAST(:words AS text[])) FROM tasks WHERE uid = :of_uid"
    " ON CONFLICT (rowid) DO UPDATE SET words = excluded.words"
).bindparams(sa.bindparam("of_uid", type_=tasks.c.uid.type))


def fill(connection: sa.Connection, uid: str, sql: str) -> None:
    """Let the task be found by the words of its text; the row is there already."""
    if connection.dialect.name == "postgresql":
        connection.execute(_FILL, {"words": lexemes(sql), "of_uid": uid})


def lexemes(sql: str) -> list[str]:
    """The words of a text, as a row of the index holds them."""
    return list(_fitting(search_words.tokens(sql)))


def _fitting(words: Iterable[str]) -> Iterable[str]:
    room = MOST_BYTES
    for word in dict.fromkeys(search_words.lexeme(word) for word in words):
        room -= len(word.encode())
        if room < 0:
            return
        yield word
