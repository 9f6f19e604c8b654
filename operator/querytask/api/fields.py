"""The kinds of field that the objects are made of, and the base class of all models.

A field of a duration or a quantity is a number in Python (seconds, thousandths of a core, bytes) and keeps
people's spelling in the API: it is parsed once, when the object is read, and nothing below this package sees
the text.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from querytask.api import durations
from querytask_worker.contract import timestamp

MOST_INTEGER = 2**53 - 1
"""The largest integer that survives a JSON reader which holds numbers as doubles."""
LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


MEASURED_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,3})?$"


class Model(BaseModel):
    """Base of every object and part of one: immutable, camelCase in the API, and blind to fields that a
    newer release has added."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def document(self) -> dict[str, Any]:
        """The JSON object as the API server takes it: camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def nested(model: type[Model]) -> Any:
    """A field that is an object whose own fields all have defaults: the API server fills them in, too."""
    return Field(default_factory=model, json_schema_extra={"default": {}})


def default(text: str) -> Any:
    """The default of a duration or a quantity, in the spelling of the API."""
    return Field(default=text, validate_default=True)


def _second(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Count = Annotated[int, Field(ge=0, le=MOST_INTEGER)]
"""A number of rows or bytes, or a generation."""

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
DnsName = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]

Moment = Annotated[AwareDatetime, PlainSerializer(timestamp, return_type=str)]
"""A time: aware in Python, RFC 3339 in UTC with milliseconds in the API."""

Second = Annotated[AwareDatetime, PlainSerializer(_second, return_type=str)]
"""A time in whole seconds, as ``metav1.Time`` is."""

Seconds = Annotated[
    float,
    BeforeValidator(float),
    PlainSerializer(durations.decimal, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 16, "pattern": MEASURED_PATTERN}),
]
"""A measured time: a float of seconds in Python, a decimal string with at most three decimals in the API,
which has no floats."""
