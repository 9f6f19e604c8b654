"""Markers for ``Annotated`` that give a number people's spelling in the API: ``Duration``, ``Cpu`` and
``Size``, each with its bounds.

    timeout: Annotated[float, Duration(1, 604_800)]

is a float of seconds in Python, takes ``30m``, ``"1800"`` and ``1800``, and in the CRD is a string or an
integer whose bounds a CEL rule holds, because ``minimum`` says nothing about text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from querytask.api import durations, quantities
from querytask.api.rules import Rule, validations


@dataclass(frozen=True, slots=True)
class Spelling:
    """A number between ``least`` and ``most`` that the API spells as text or as an integer."""

    least: int
    most: int

    def parse(self, text: Any) -> float | int:
        """The number that ``text`` spells; raises ``ValueError``."""
        raise NotImplementedError

    def write(self, number: Any) -> str:
        """The text that spells ``number``."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """The field's part of the CRD."""
        raise NotImplementedError

    def bounds(self) -> str:
        """What must be, for messages."""
        return f"must be at least {self.write(self.least)} and at most {self.write(self.most)}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.write, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.schema()


@dataclass(frozen=True, slots=True)
class Duration(Spelling):
    """Seconds, spelled ``30m``, ``1h30m``, ``"1800"`` or ``1800``."""

    def parse(self, text: Any) -> float:
        """Seconds."""
        return durations.seconds(text, self.least, self.most)

    def write(self, number: float) -> str:
        """Such as ``30m``."""
        return durations.write(number)

    def schema(self) -> dict[str, Any]:
        """``minimum`` and ``maximum`` for integers, rules for the text: its grammar, then its bounds."""
        total = " + ".join(
            [
                *(_unit(unit, size) for unit, size in durations.UNITS.items()),
                "double('0' + self.find('^[0-9.]+$'))",
            ]
        )
        well_formed = f"self.matches('{_cel(durations.PATTERN)}')"
        grammar = Rule(
            f"type(self) == int || {well_formed}",
            f"must be a duration such as {durations.EXAMPLES}",
            '; not "%s"',
            ("self",),
        )
        bounds = Rule(
            f"type(self) == int || !{well_formed} || "
            f"[{total}].all(found, found >= {self.least}.0 && found <= {self.most}.0)",
            self.bounds(),
            ", not %s",
            ("self",),
        )
        text = _int_or_string(durations.MAX_LENGTH, self.least, self.most)
        return text | validations(grammar, bounds)


@dataclass(frozen=True, slots=True)
class Quantity(Spelling):
    """A Kubernetes quantity."""

    def schema(self) -> dict[str, Any]:
        """Rules for the grammar and for the bounds, compared as the API server itself compares quantities."""
        amount, least, most = "quantity(string(self))", self.write(self.least), self.write(self.most)
        well_formed = f"string(self).matches('{_cel(quantities.PATTERN)}')"
        grammar = Rule(
            well_formed,
            f"must be a quantity such as {quantities.EXAMPLES}",
            '; not "%s"',
            ("self",),
        )
        bounds = Rule(
            f"!{well_formed} || ({amount}.compareTo(quantity('{least}')) >= 0 && "
            f"{amount}.compareTo(quantity('{most}')) <= 0)",
            self.bounds(),
            ", not %s",
            ("self",),
        )
        return _int_or_string(quantities.MAX_LENGTH, 0, self.most) | validations(grammar, bounds)


@dataclass(frozen=True, slots=True)
class Cpu(Quantity):
    """Thousandths of a core, spelled ``500m`` or ``2``."""

    def parse(self, text: Any) -> int:
        """Thousandths of a core."""
        return quantities.millicores(text, self.least, self.most)

    def write(self, number: int) -> str:
        """Such as ``500m``."""
        return quantities.cpu(number)


@dataclass(frozen=True, slots=True)
class Size(Quantity):
    """Bytes of memory or disk, spelled ``512Mi`` or ``4G``."""

    def parse(self, text: Any) -> int:
        """Bytes."""
        return quantities.size(text, self.least, self.most)

    def write(self, number: int) -> str:
        """Such as ``512Mi``."""
        return quantities.memory(number)


def _unit(unit: str, factor: int) -> str:
    return f"double('0' + self.find('[0-9.]+{unit}').replace('{unit}', '')) * {factor}.0"


def _cel(pattern: str) -> str:
    """A pattern as it stands inside a CEL string."""
    return pattern.replace("\\", "\\\\")


def _int_or_string(length: int, least: int, most: int) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "minLength": 1,
        "maxLength": length,
        "minimum": least,
        "maximum": most,
    }
