"""What a query may say: one SELECT or EXPLAIN, and before it only what prepares it: temporary tables, views
and macros.

DuckDB's own parser classifies (``extract_statements``), without running anything, and only after the
lock-down, because classifying ``IMPORT DATABASE`` reads files. What the parser does not tell apart is read
from the tokens: a temporary table from a table, a view from a secret, ``PRAGMA version`` from a SELECT. A
handful of functions that write, or that run a text which nobody has classified, are refused by name. All of
this is the second line of defence: the pod is the first.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb

from .classify import syntax_fault
from .contract import ExitCode
from .faults import Fault
from .text import Piece, first_word, pieces, position, words

RULE = "a query must be one SELECT or EXPLAIN, and before it only CREATE TEMP TABLE, VIEW or MACRO"

QUERY_WORDS = frozenset(
    [
        "SELECT",
        "FROM",
        "WITH",
        "VALUES",
        "TABLE",
        "PIVOT",
        "PIVOT_WIDER",
        "PIVOT_LONGER",
        "UNPIVOT",
        "DESCRIBE",
        "DESC",
        "SHOW",
        "SUMMARIZE",
        "(",
    ]
)
CREATED = frozenset({"TABLE", "VIEW", "MACRO", "FUNCTION"})
WRAPPED_WORDS = frozenset(["DESCRIBE", "DESC", "SHOW", "SUMMARIZE"])
"""Queries that only a subquery can hold."""
REFUSED_FUNCTIONS = frozenset(
    {
        "ENABLE_LOGGING",
        "DISABLE_LOGGING",
        "TRUNCATE_DUCKDB_LOGS",
        "WRITE_LOG",
        "ENABLE_PROFILING",
        "DISABLE_PROFILING",
        "CHECKPOINT",
        "FORCE_CHECKPOINT",
        "QUERY",
        "JSON_EXECUTE_SERIALIZED_SQL",
        "ARROW_SCAN",
        "ARROW_SCAN_DUMB",
        "PANDAS_SCAN",
        "PYTHON_MAP_FUNCTION",
    }
)
"""They write files or state, run a text that was not classified, or read memory by address."""

_EXPLAIN_OPTIONS = frozenset({"ANALYZE", "ANALYSE", "VERBOSE"})
_CREATE_FILLERS = frozenset(
    ["OR", "REPLACE", "LOCAL", "GLOBAL", "RECURSIVE", "UNIQUE", "PERSISTENT", "TEMP", "TEMPORARY"]
)


@dataclass(frozen=True, slots=True)
class Script:
    """What may be run: the statements that prepare, in order, and the query itself."""

    prelude: tuple[Piece, ...]
    query: Piece
    explains: bool
    """The query is an EXPLAIN: its rows describe a plan, and no statement can hold it."""
    wrapped: bool
    """The query is one that only a subquery can hold."""
    parameters: tuple[frozenset[str], ...]
    """The names of the parameters that each statement uses, the query's last."""


def read(connection: duckdb.DuckDBPyConnection, sql: str) -> Script:
    """Classify a user's text.

    Raises ``Fault``: ``SqlError`` when it cannot be parsed, ``SqlNotAllowed`` naming what is refused.
    """
    if "\0" in sql:
        raise Fault(
            ExitCode.SQL_ERROR,
            f"the SQL must not contain NUL characters: the first is at character {sql.index(chr(0)) + 1}",
        )
    _parse(connection, Piece(sql, 0), sql, suspicious=pieces(sql))
    found = pieces(sql)
    if not found:
        raise Fault(ExitCode.SQL_ERROR, "the SQL must contain a statement: it has none")
    for piece in found:
        with _at(piece, sql):
            _check_words(words(piece.text))
    for piece in found[:-1]:
        with _at(piece, sql):
            _check_prelude(connection, piece, sql)
    last = found[-1]
    with _at(last, sql):
        explains = _check_query(connection, last, sql)
    return Script(
        prelude=tuple(found[:-1]),
        query=last,
        explains=explains,
        wrapped=words(last.text)[0] in WRAPPED_WORDS,
        parameters=tuple(_parameters(connection, piece, sql) for piece in found),
    )


@contextlib.contextmanager
def _at(piece: Piece, sql: str) -> Iterator[None]:
    """A fault of a piece lies where the piece begins, unless it says where."""
    try:
        yield
    except Fault as fault:
        if fault.position is None:
            fault.position = position(sql, piece.start + first_word(piece.text))
        raise


def _check_words(tokens: list[str]) -> None:
    if tokens[0] not in QUERY_WORDS | {"EXPLAIN", "CREATE"}:
        raise _refused(tokens, RULE)
    for name, following in itertools.pairwise(tokens):
        if following == "(" and name in REFUSED_FUNCTIONS:
            raise Fault(ExitCode.SQL_NOT_ALLOWED, f"the function {name.lower()} is not allowed in a query")


def _check_prelude(connection: duckdb.DuckDBPyConnection, piece: Piece, sql: str) -> None:
    tokens = words(piece.text)
    if tokens[0] in QUERY_WORDS or tokens[0] == "EXPLAIN":
        raise _refused(tokens, "only the last statement may be a query")
    _require(_types(connection, piece, sql), {"CREATE"}, tokens)
    created = next((index for index, word in enumerate(tokens[1:], 1) if word not in _CREATE_FILLERS), 0)
    if tokens[created] not in CREATED:
        raise _refused(tokens, RULE)
    if not {"TEMP", "TEMPORARY"} & set(tokens[:created]):
        raise _refused(tokens, f"write CREATE TEMP {tokens[created]}, for nothing outlives the query")


def _check_query(connection: duckdb.DuckDBPyConnection, piece: Piece, sql: str) -> bool:
    """Whether the query is an EXPLAIN."""
    tokens = words(piece.text)
    types = _types(connection, piece, sql)
    if tokens[0] != "EXPLAIN":
        if tokens[0] == "CREATE":
            raise _refused(tokens, "the last statement must be a SELECT or EXPLAIN")
        _require_query(tokens, types)
        return False
    inner = _explained(tokens)
    if not inner or inner[0] not in QUERY_WORDS:
        raise _refused(tokens[: len(tokens) - len(inner)][:1] + inner, "only a query may be explained")
    _require(types, {"EXPLAIN", "CREATE", "TRANSACTION"}, tokens)
    return True


def _require_query(tokens: list[str], types: list[str]) -> None:
    pivots = {"PIVOT", "PIVOT_WIDER"} & set(tokens)  # of which the parser makes a type and a query
    _require(types[:-1], {"CREATE"} if pivots else set(), tokens)
    _require(types[-1:], {"SELECT"}, tokens)


def _explained(tokens: list[str]) -> list[str]:
    rest = tokens[1:]
    while rest and rest[0] in _EXPLAIN_OPTIONS:
        rest = rest[1:]
    if rest[:1] == ["("] and rest[1:2] and rest[1] in _EXPLAIN_OPTIONS | {"FORMAT"}:
        rest = rest[rest.index(")") + 1 :] if ")" in rest else []
    return rest


def _require(types: Iterable[str], allowed: set[str], tokens: list[str]) -> None:
    if not set(types) <= allowed:
        raise _refused(tokens, RULE)


def _refused(tokens: list[str], rule: str) -> Fault:
    named = tokens[:1]
    if named == ["CREATE"]:
        named += [word for word in tokens[1:] if word not in _CREATE_FILLERS][:1]
    return Fault(ExitCode.SQL_NOT_ALLOWED, f"{' '.join(named)} is not allowed: {rule}")


def _types(connection: duckdb.DuckDBPyConnection, piece: Piece, sql: str) -> list[str]:
    return [statement.type.name for statement in _parse(connection, piece, sql)]


def _parameters(connection: duckdb.DuckDBPyConnection, piece: Piece, sql: str) -> frozenset[str]:
    return frozenset(
        name for statement in _parse(connection, piece, sql) for name in statement.named_parameters
    )


def _parse(
    connection: duckdb.DuckDBPyConnection, piece: Piece, sql: str, suspicious: Iterable[Piece] = ()
) -> list[duckdb.Statement]:
    for other in suspicious:
        tokens = words(other.text)
        if tokens[0] in ("IMPORT", "PRAGMA"):  # the parser runs or rewrites them
            with _at(other, sql):
                raise _refused(tokens, RULE)
    try:
        return list(connection.extract_statements(piece.text))
    except duckdb.Error as error:
        raise syntax_fault(error, piece, sql) from error
