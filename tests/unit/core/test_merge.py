"""The smallest merge patch: applied to the old object it gives the new one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from querytask.core import merge

SCALARS = st.booleans() | st.integers() | st.text(max_size=3)
KEYS = st.sampled_from("abcd")
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, DOCUMENTS, max_size=4)
many = examples(max_examples=60, deadline=None, derandomize=True, database=None)


def rfc7386(target: Any, patch: Any) -> Any:
    """JSON Merge Patch as its RFC has it, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = rfc7386(result.get(name), value)
    return result


@many
@given(old=OBJECTS, new=OBJECTS)
def test_the_patch_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]):
    """Whatever the two are: what is gone is removed, what is nested is merged, lists are replaced."""
    assert rfc7386(old, merge.patch(old, new)) == new


@many
@given(old=OBJECTS)
def test_nothing_is_sent_where_nothing_differs(old: dict[str, Any]):
    """An empty patch is no write."""
    assert merge.patch(old, dict(old)) == {}


def test_only_what_differs_is_sent():
    """A status of kilobytes costs the bytes of what has changed."""
    old = {"phase": "Queued", "message": "as before", "export": {"state": "Available", "rows": 1}, "gone": 1}
    new = {"phase": "Running", "message": "as before", "export": {"state": "Expired", "rows": 1}}
    assert merge.patch(old, new) == {"phase": "Running", "export": {"state": "Expired"}, "gone": None}
