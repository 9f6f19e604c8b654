"""Rules of the API server in CEL, each with a sentence that names the field, shows the value and says what
must be.

A rule that spans fields hangs on the model that holds them; a transition rule hangs on the root, the only
place that sees ``spec`` and ``status`` together and is not skipped when a field comes or goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FORBIDDEN = "FieldValueForbidden"
INVALID = "FieldValueInvalid"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``x-kubernetes-validations``."""

    expression: str
    message: str
    """What must be. Also all that is said where there is no value worth showing."""
    seen: str = ""
    """How the sentence goes on, with ``%s`` for each of ``values``. Only ``format`` takes integers and
    text of any length: the API server cannot bound the cost of joining them with ``+``, and refuses the
    rule."""
    values: tuple[str, ...] = ()
    """CEL expressions."""
    path: str | None = None
    """The field at fault, relative to where the rule hangs."""
    reason: str = INVALID

    def schema(self) -> dict[str, Any]:
        """The entry as it stands in a CRD."""
        entry = {"rule": self.expression, "message": self.message, "reason": self.reason}
        if self.seen:
            text = (self.message + self.seen).replace("\\", "\\\\").replace("'", "\\'")
            entry["messageExpression"] = f"'{text}'.format([{', '.join(self.values)}])"
        if self.path is not None:
            entry["fieldPath"] = self.path
        return entry


def validations(*rules: Rule) -> dict[str, Any]:
    """The schema keyword that holds ``rules``, for a model's or a field's ``json_schema_extra``."""
    return {"x-kubernetes-validations": [rule.schema() for rule in rules]}


def list_text(values: list[str]) -> str:
    """A CEL list of strings."""
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"
