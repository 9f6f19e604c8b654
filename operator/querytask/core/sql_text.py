"""The same query, written in another way: one form for texts that differ only in blanks, comments, the case
of what is not quoted, and a semicolon at the end.

For the history, which finds a query again by the hash of that form. It is a form to compare and never one to
run. In doubt two texts count as different: a query that is not found again costs less than another's result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

_BLOCK = re.compile(r"/\*|\*/")
_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n\r]*)
    |(?P<block>/\*)
    |(?P<quoted>[eE]'(?:[^'\\]|\\.|'')*'? | '(?:[^']|'')*'? | "(?:[^"]|"")*"?)
    |(?P<dollar>\$(?P<tag>[^\W\d]\w*)?\$)
    |(?P<name>\$\w+ | [^\W\d]\w* | \d[\w.]*)
    |(?P<operator>[-+*/<>=~!@%^&|`?#:]+)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"--|/\*")


def normal(sql: str) -> str:
    """The form of ``sql`` that all spellings of it share."""
    tokens = list(_tokens(sql))
    while tokens and tokens[-1] == ";":
        tokens.pop()
    return " ".join(tokens)


def normal_hash(sql: str) -> str:
    """The SHA-256 of that form, in hexadecimal."""
    return hashlib.sha256(normal(sql).encode("utf-8", "replace")).hexdigest()


def _tokens(sql: str) -> Iterator[str]:
    here = 0
    while (found := _TOKEN.match(sql, here)) is not None:
        here, kind = found.end(), found.lastgroup
        text = found.group()
        if kind == "block":
            here = _after_comment(sql, here)
        elif kind == "dollar":
            here = _after(sql, text, here)
            yield sql[found.start() : here]
        elif kind == "operator":
            # An operator ends where a comment begins: `1/*one*/+2`, `a---b`.
            cut = _COMMENT.search(text)
            if cut is not None:
                text, here = text[: cut.start()], found.start() + cut.start()
            if text:
                yield text
        elif kind != "blank":
            yield text if kind == "quoted" or text.startswith("$") else text.lower()


def _after(sql: str, mark: str, start: int) -> int:
    found = sql.find(mark, start)
    return len(sql) if found < 0 else found + len(mark)


def _after_comment(sql: str, start: int) -> int:
    """Where the block comment ends whose beginning was just passed; they nest."""
    depth = 1
    for found in _BLOCK.finditer(sql, start):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    return len(sql)
