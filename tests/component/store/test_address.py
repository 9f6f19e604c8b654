"""The URL of a database: what is one, and that no password is ever shown."""

from __future__ import annotations

import traceback

import pytest

from querytask import errors
from querytask.adapters.store import shown
from querytask.adapters.store.address import UNKNOWN, Address

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (f"postgresql://ann:{SECRET}@db:5432/history?sslmode=require", "postgresql://ann@db:5432/history"),
        (f"postgres://ann:{SECRET}@db/history", "postgresql://ann@db/history"),
        (f"postgresql://db/history?user=ann&password={SECRET}", "postgresql://ann@db/history"),
        (f"postgresql://ann:{SECRET}@a:1,b:2/history", "postgresql://ann@a:1,b:2/history"),
        (f"postgresql://ann:{SECRET}@[::1]:5432/history", "postgresql://ann@[::1]:5432/history"),
        (f"postgresql:///history?host=/run/pg&password={SECRET}", "postgresql://%2Frun%2Fpg/history"),
        ("postgresql://a%20b:%2F%40@db/h%2Fx", "postgresql://a%20b@db/h%2Fx"),
    ],
)
def test_what_is_shown(url: str, seen: str) -> None:
    """User, servers and database; no password and no parameter."""
    assert shown(url) == seen
    assert f"{Address(url)} {Address(url)!r}" == f"{seen} {seen}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "history",
        f"mysql://ann:{SECRET}@db/history",
        f"postgresql://ann:{SECRET}@more@db/history",
        f"postgresql://ann:1/{SECRET}@db/history",
        f"postgresql://ann:x/{SECRET}@db/history",
        f"postgresql://ann:x#{SECRET}@db/history",
        f"postgresql://ann:x?{SECRET}@db/history",
        f"postgresql://ann:1?{SECRET}@db/history",
        f"postgresql://ann:%{SECRET}@db/history",
        f"postgresql://ann:{SECRET}\n@db/history",
        f"postgresql://ann@db/history?pass={SECRET}",
        f"postgresql://ann%3A{SECRET}@db/history",
        f"postgresql://ann%3A{SECRET}%40db/history",
        f"postgresql://db/history&password={SECRET}",
    ],
)
def test_what_is_no_url_is_refused_and_not_shown(url: str) -> None:
    """A password with signs that should have been encoded is cut anywhere: nothing of it may be told."""
    assert shown(url) == UNKNOWN
    with pytest.raises(errors.StoreRefused, match="must be as libpq takes it") as caught:
        Address(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_password_is_taken_out_of_any_text() -> None:
    """Unless it is no secret."""
    assert Address(f"postgresql://ann:{SECRET}@db/x").without_password(f"no {SECRET}!") == "no ***!"
    assert Address("postgresql://ann:ann@db/x").without_password("role ann") == "role ann"
