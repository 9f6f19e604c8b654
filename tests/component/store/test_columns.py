"""Values of records in columns, there and back."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy.dialects import postgresql, sqlite

from querytask.adapters.store.columns import Json, clean

DIALECTS: tuple[sa.Dialect, ...] = (sqlite.dialect(), postgresql.dialect())
TEXTS = some.text().map(clean)
VALUES = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: some.lists(inner) | some.dictionaries(TEXTS, inner),
)


def there_and_back(value: object, dialect: sa.Dialect) -> object:
    column = Json()
    return column.result_processor(dialect, None)(column.process_bind_param(value, dialect))


@given(VALUES)
def test_what_json_can_say_comes_back_as_it_was(value: object) -> None:
    """Numbers of any size and to the last digit, any character, keys in their order."""
    for dialect in DIALECTS:
        assert repr(there_and_back(value, dialect)) == repr(value)


def test_lists_may_be_nested_as_deep_as_they_can_be_written() -> None:
    """A preview holds what a query has made."""
    value: object = "inmost"
    for _ in range(300):
        value = [value]
    for dialect in DIALECTS:
        assert there_and_back(value, dialect) == value
