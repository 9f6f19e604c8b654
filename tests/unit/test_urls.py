"""The URL of the history's database: which are good, what is said of the others, and that a password never
shows."""

from __future__ import annotations

import pytest

from querytask import settings, urls
from querytask.errors import SettingsError
from querytask.web import settings as web
from tests.unit.test_settings import NEEDED

GOOD = [
    "postgresql://db/history",
    "postgres://querytask:s3cret@db.example.com:5432/history?sslmode=verify-full&connect_timeout=3",
    "postgresql://querytask:p%40ss%2Fw%3F@[fd00::1]:5432/history",
    "postgresql://u@one:5432,two:5433/history?target_session_attrs=read-write",
    "postgresql:///history?host=/var/run/postgresql",
    "postgresql://db?dbname=history",
    "postgresql://ann%40corp@db/history",
    "postgresql://%2Frun%2Fpostgresql/history",
    "postgresql:///history?host=fd00::1,fd00::2&port=5432,5433",
    "postgresql://db/history?sslrootcert=/etc/ca%402024.pem",
]
SECRET = "s3c-ret"
BAD = [
    (f"mysql://u:{SECRET}@db/history", 'not "mysql://u@db/history"'),
    (f"postgresql+psycopg://u:{SECRET}@db/history", 'not "postgresql\\+psycopg://u@db/history"'),
    (f"postgresql:u:{SECRET}@db/history", 'not "…"'),
    (f"postgresql://u:{SECRET}/x@db/history", 'percent-encoded, not "postgresql://…"'),
    (f"postgresql://u:a@{SECRET}@db/history", 'not "postgresql://…"'),
    (f"postgresql://u:a?{SECRET}@db/history", 'not "postgresql://…"'),
    (f"postgresql://u:1?{SECRET}@db/history", 'not "postgresql://…"'),
    (f"postgresql://u:a#{SECRET}@db/history", 'not "postgresql://…"'),
    (f"postgresql://u:a:{SECRET}@db/history", 'not "postgresql://…"'),
    (f"postgresql://u:a {SECRET}@db/history", 'not "postgresql://…"'),
    (f"host=db password={SECRET}", 'not "…"'),
    (f"postgresql://ann%3A{SECRET}@db/history", 'not "postgresql://…"'),
    (f"postgresql://ann%3A{SECRET}%40db/history", 'not "postgresql://…"'),
    (f"postgresql://{SECRET}%40db/history", 'not "postgresql://…"'),
    (f"postgresql://one,ann%3A{SECRET}/history", 'not "postgresql://…"'),
    (f"postgresql://db/h&password={SECRET}", 'not "postgresql://…"'),
    (f"postgresql://db/h%20password%3D{SECRET}", 'not "postgresql://…"'),
    (f"postgresql:///ann%3A{SECRET}%40db", 'not "postgresql://…"'),
    (f"postgresql://db/h?host=ann:{SECRET}%40db", 'not "postgresql://…"'),
    (f"postgresql://db/h?user=ann:{SECRET}", 'not "postgresql://…"'),
    (f"postgresql://db?dbname=postgresql%3A//ann:{SECRET}%40db/h", 'not "postgresql://…"'),
    (f"postgresql://db/h?%68ost=ann:{SECRET}%40db", 'not "postgresql://…"'),
    (f"mysql://ann%3A{SECRET}@db/history", 'not "mysql://…"'),
    (f"postgresql://u:{SECRET}@db", 'name the database after the host, .* not "postgresql://u@db"'),
    (f"postgresql://u:{SECRET}@db/", 'name the database .* not "postgresql://u@db/"'),
    (f"postgresql://u:{SECRET}@db:99999/h", 'a port from 1 to 65535, not "postgresql://u@db:99999/h"'),
    (f"postgresql://u:{SECRET}@db:0/h", "a port from 1 to 65535"),
]


@pytest.mark.parametrize("url", GOOD)
def test_good(url):
    """What libpq takes is taken, and kept as it stands."""
    assert urls.fault(url) == ""
    assert settings.read(NEEDED | {"QUERYTASK_HISTORY_URL": url}).history_url == url
    assert web.read({"QUERYTASK_NAMESPACE": "n", "QUERYTASK_HISTORY_URL": url}).history_url == url


@pytest.mark.parametrize(("url", "sentence"), BAD)
def test_bad(url, sentence):
    """The sentence names the variable and shows what it can without the password."""
    with pytest.raises(SettingsError, match=f"^QUERYTASK_HISTORY_URL must.*{sentence}") as told:
        settings.read(NEEDED | {"QUERYTASK_HISTORY_URL": url})
    assert SECRET not in str(told.value)


def test_it_is_never_shown():
    """Not by whoever prints the settings."""
    url = f"postgresql://u:{SECRET}@db/history?sslmode=require"
    for found in (
        settings.read(NEEDED | {"QUERYTASK_HISTORY_URL": url}),
        web.read({"QUERYTASK_NAMESPACE": "n", "QUERYTASK_HISTORY_URL": url}),
    ):
        assert found.history_url == url
        assert SECRET not in repr(found)
        assert "history_url" not in repr(found)
    assert urls.visible(url) == "postgresql://u@db/history"


def test_the_end_of_a_line_is_no_part_of_it():
    """A Secret that was made from a file ends with one."""
    found = settings.read(NEEDED | {"QUERYTASK_HISTORY_URL": f"{GOOD[0]}\n"})
    assert found.history_url == GOOD[0]


def test_without_one_the_history_is_a_file():
    """The default."""
    assert settings.read(NEEDED).history_url == ""
