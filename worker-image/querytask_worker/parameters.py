"""Bound values: each parameter's text is cast to its declared type by DuckDB itself and never becomes part of
a statement.

The set of types is closed; the API server holds objects to the same pattern, and the worker does not rely on
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from .contract import ExitCode, Parameter
from .execution import Execution
from .faults import Fault

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_DECIMAL = r"DECIMAL(?:\((?:[1-9]|[12][0-9]|3[0-8])(?:, ?(?:[0-9]|[12][0-9]|3[0-8]))?\))?"
TYPE = re.compile(
    r"(?:BOOLEAN|TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|UHUGEINT|FLOAT|DOUBLE"
    rf"|{_DECIMAL}|VARCHAR|DATE|TIME|TIMESTAMP|TIMESTAMP_S|TIMESTAMP_MS|TIMESTAMP_NS|TIMESTAMPTZ|INTERVAL|UUID|BLOB)(?:\[\])?"
)
VALUE_CHARACTERS = 80
"""How much of a value an error message shows."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The values by name in lower case, and the types of those that lose theirs on the way into DuckDB.

    A NULL and an empty list arrive without a type; where the SQL uses them it must say the type itself
    (``text.with_types``), else functions that exist for several types could not be chosen.
    """

    values: dict[str, duckdb.Value]
    untyped: dict[str, str]


def bind(execution: Execution, task_id: str, parameters: Iterable[Parameter], used: frozenset[str]) -> Bound:
    """The values by name, each tried by DuckDB alone.

    Raises ``Fault`` (``ParameterError``) naming the first parameter that is missing, too many, twice there or
    mistyped.
    """
    given = _by_name(parameters)
    _compare(given, used)
    values = {}
    for name, parameter in given.items():
        try:
            values[name] = _value(parameter)
            execution.run(
                task_id, "SELECT $value IS NULL", {"value": values[name]}, label=f"cast of parameter {name}"
            )
        except duckdb.Error as error:
            raise Fault(
                ExitCode.PARAMETER_ERROR, f"{_described(parameter)} cannot be cast: {_reason(error)}"
            ) from error
    untyped = {name: given[name].type for name, value in values.items() if value.object in (None, [])}
    return Bound(values, untyped)


def _by_name(parameters: Iterable[Parameter]) -> dict[str, Parameter]:
    given: dict[str, Parameter] = {}
    for parameter in parameters:
        name = parameter.name.lower()  # names of parameters, like all names in SQL, know no case
        if not NAME.fullmatch(parameter.name):
            raise Fault(
                ExitCode.PARAMETER_ERROR,
                f"parameter name must match {NAME.pattern}, not {parameter.name[:64]!r}",
            )
        if name in given:
            raise Fault(
                ExitCode.PARAMETER_ERROR,
                f"parameter {parameter.name!r} must be given once: it is there twice",
            )
        given[name] = parameter
    return given


def _compare(given: Mapping[str, Parameter], used: frozenset[str]) -> None:
    positional = sorted(name for name in used if name.isdecimal())
    if positional:
        raise Fault(
            ExitCode.PARAMETER_ERROR,
            "parameters must be written with a name, as $minutes: ? and $1 have none",
        )
    missing = sorted(name for name in used if name.lower() not in given)
    if missing:
        raise Fault(ExitCode.PARAMETER_ERROR, f"parameter ${missing[0]} must be given: the SQL uses it")
    extra = sorted(given.keys() - {name.lower() for name in used})
    if extra:
        raise Fault(
            ExitCode.PARAMETER_ERROR,
            f"{_described(given[extra[0]])} must be used: the SQL has no ${given[extra[0]].name}",
        )


def _value(parameter: Parameter) -> duckdb.Value:
    if not TYPE.fullmatch(parameter.type):
        raise Fault(
            ExitCode.PARAMETER_ERROR,
            f"{_described(parameter)} must have a type of the closed set, such as INTEGER or DATE[]",
        )
    if parameter.value is not None and parameter.values is not None:
        raise Fault(ExitCode.PARAMETER_ERROR, f"{_described(parameter)} must have value or values, not both")
    is_list = parameter.type.endswith("[]")
    if is_list != (parameter.values is not None) and not (
        parameter.value is None and parameter.values is None
    ):
        wanted = "values" if is_list else "value"
        raise Fault(ExitCode.PARAMETER_ERROR, f"{_described(parameter)} must have {wanted}: its type says so")
    content: Any = list(parameter.values) if parameter.values is not None else parameter.value
    return duckdb.Value(content, duckdb.sqltype(parameter.type))


def _described(parameter: Parameter) -> str:
    content = parameter.values if parameter.values is not None else parameter.value
    text = "NULL" if content is None else repr(list(content) if isinstance(content, tuple) else content)
    shown = text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"
    return f"parameter {parameter.name!r} of type {parameter.type} with the value {shown}"


def _reason(error: duckdb.Error) -> str:
    match = re.search(r'"exception_message":"((?:[^"\\]|\\.)*)"', str(error))
    text = match.group(1).replace('\\"', '"') if match else str(error)
    return text.removeprefix("Failed to cast value: ")
