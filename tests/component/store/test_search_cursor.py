"""A cursor comes back as it was given out, or not at all."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from querytask.adapters.store.search_cursor import Cursor, decode, encode
from querytask.core.listing import Order, QuestionRefused

CURSOR = Cursor(Order.DURATION, True, False, 1.25, 42, 7)


def made(body: list[object]) -> str:
    """A cursor with a checksum that fits, made by somebody else."""
    text = json.dumps([*body, zlib.crc32(json.dumps(body).encode())])
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize("cursor", [CURSOR, Cursor(Order.NAME, False, True, "é-ü", 7)])
def test_it_comes_back(cursor: Cursor) -> None:
    """With letters that an address can carry."""
    text = encode(cursor)
    assert decode(text, cursor.order, cursor.descending) == cursor
    assert text.isascii()
    assert not set(text) & set("+/=&? ")


@pytest.mark.parametrize("index", range(len(encode(CURSOR))))
def test_one_wrong_letter_is_noticed(index: int) -> None:
    """No damaged cursor means another place."""
    text = encode(CURSOR)
    wrong = text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]
    with pytest.raises(QuestionRefused, match="cursor must be"):
        decode(wrong, CURSOR.order, CURSOR.descending)


@pytest.mark.parametrize("text", ["", "x", "ä", "W10", "e30", "bnVsbA", "[]", "A" * 5000, "\x00", "%"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Whatever a client sends."""
    with pytest.raises(QuestionRefused, match="cursor must be the next or previous of an earlier page"):
        decode(text, Order.CREATED, True)


@pytest.mark.parametrize("key", ["a\0b", "half \ud800", 5, None])
def test_a_name_that_cannot_be_is_refused(key: object) -> None:
    """Whoever makes a cursor of his own gets no further than with a damaged one."""
    with pytest.raises(QuestionRefused, match="unchanged"):
        decode(made([1, "name", 1, 0, key, 7, 0]), Order.NAME, True)


def test_another_order_is_refused() -> None:
    """And another direction, with a sentence that names both."""
    with pytest.raises(QuestionRefused, match="order created, descending, not duration, descending"):
        decode(encode(CURSOR), Order.CREATED, True)
    with pytest.raises(QuestionRefused, match="order duration, ascending, not duration, descending"):
        decode(encode(CURSOR), Order.DURATION, False)


def test_a_cut_cursor_is_refused() -> None:
    """At every length."""
    text = encode(CURSOR)
    for length in range(1, len(text)):
        with pytest.raises(QuestionRefused, match="unchanged"):
            decode(text[:length], CURSOR.order, CURSOR.descending)


def test_another_version_is_refused() -> None:
    """A client that kept one over an upgrade is told to begin again."""
    text = made([2, "created", 1, 0, 5, 5, 0])
    with pytest.raises(QuestionRefused, match="version 1, not 2: begin at the first page") as refused:
        decode(text, Order.CREATED, True)
    assert (refused.value.field, refused.value.value) == ("cursor", text)
