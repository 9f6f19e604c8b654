"""What is run again is the same, under a name that says so."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from querytask import names
from querytask.adapters.store import TaskRecord
from querytask.web.retrying import repeated

UID = "6f0f2f3c-1111-4222-8333-944445555666"


def record(name: str = "late-flights", **fields: Any) -> TaskRecord:
    """A task as the history has it."""
    values: dict[str, Any] = {
        "uid": UID,
        "namespace": "x",
        "created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "phase": "Failed",
        "sql": "SELECT $a",
        "owner": "team",
        "parameters": ({"name": "a", "type": "INTEGER", "value": "1"},),
        "sources": ("flights",),
        "resources": {"cpu": "1"},
        "priority": 3,
        "spec": {"timeout": "5m", "cancel": True, "export": {"format": "CSV"}},
    }
    return TaskRecord(name=name, **values | fields)


def test_the_spec_is_the_same():
    """But for a cancellation that was asked for."""
    found = repeated(record())
    assert found["spec"] == {
        "sql": "SELECT $a",
        "owner": "team",
        "parameters": [{"name": "a", "type": "INTEGER", "value": "1"}],
        "sources": ["flights"],
        "resources": {"cpu": "1"},
        "priority": 3,
        "timeout": "5m",
        "export": {"format": "CSV"},
    }
    assert names.retried_uid(found["metadata"]["annotations"]) == UID


@pytest.mark.parametrize(
    ("name", "retry_of", "prefix"),
    [
        ("late-flights", None, "late-flights-"),
        ("late-flights-x2b4z", UID, "late-flights-"),
        ("late-flights-0123456789abcdef", UID, "late-flights-"),
        ("nightly-x2b4z", None, "nightly-x2b4z-"),
        ("a" * 253, None, "a" * 50 + "-"),
    ],
)
def test_names_do_not_grow(name: str, retry_of: str | None, prefix: str):
    """A retry of a retry is called after the first."""
    assert repeated(record(name, retry_of=retry_of))["metadata"]["generateName"] == prefix


@pytest.mark.parametrize("value", ["", "x", UID.upper(), UID + "x", "../" + UID])
def test_only_a_uid_is_believed(value: str):
    """Anybody can write annotations."""
    assert names.retried_uid({names.RETRY_OF_ANNOTATION: value}) is None
