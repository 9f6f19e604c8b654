"""The URL of a database, as libpq takes it: what is one, and as much of it as anybody may see.

For the settings, which say what is wrong with one and must not show a password. A leaf; whether there is such
a server, and what its parameters mean, only the store knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

EXAMPLE = "postgresql://user:password@host:5432/database?sslmode=verify-full"
_SCHEMES = ("postgresql", "postgres")
_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^:/?#@\[\]\s,]*)(:[0-9]*)?"
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"((?P<user>[^:/?#@\s]*)(:[^:/?#@\s]*)?@)?"
    rf"(?P<hosts>{_HOST}(,{_HOST})*)"
    r"(/(?P<database>[^/?#@\s]*))?"
    r"(\?(?P<parameters>[^?#@\s]*))?"
)
_PORT = re.compile(r":([0-9]*)(?=,|$)")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[^:@]*)?")
_WHOLE = re.compile(r"://|=|:.*@", re.DOTALL)
"""In the name of a database: that it is more than that."""
ENCODED = (
    "its own signs as they stand there, and in the password and every other part each sign that is no letter"
    " and no digit percent-encoded"
)


def readable(url: str) -> bool:
    """Whether nobody can take a part of the password for something else: it is a URL of a PostgreSQL server,
    each sign in it has one meaning, and no name in it holds the rest of it."""
    parts = _URL.fullmatch(url)
    return (
        parts is not None
        and parts["scheme"] in _SCHEMES
        and url.isprintable()
        and not any(_holds_more(what, name) for what, name in _names(parts))
    )


def fault(url: str) -> str:
    """What is wrong with a URL of a PostgreSQL database, without its password; empty for a good one."""
    parts = _URL.fullmatch(url)
    if parts is None or not readable(url):
        return f'must be a URL such as {EXAMPLE}, {ENCODED}, not "{visible(url)}"'
    if not any(what == "dbname" and name for what, name in _names(parts)):
        return f'must name the database after the host, as in {EXAMPLE}, not "{visible(url)}"'
    if any(not 0 < int(port or 1) < 65536 for port in _PORT.findall(parts["hosts"])):
        return f'must have a port from 1 to 65535, not "{visible(url)}"'
    return ""


def visible(url: str) -> str:
    """A URL without its password and its parameters. Of a text that is no URL hardly anything: of no part is
    it known that it is not the password."""
    parts = _URL.fullmatch(url)
    if parts is None or any(_holds_more(what, name) for what, name in _names(parts)):
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url)
        return f"{scheme[0] if scheme else ''}…"
    user = f"{parts['user']}@" if parts["user"] else ""
    path = f"/{parts['database']}" if parts["database"] is not None else ""
    return f"{parts['scheme']}://{user}{parts['hosts']}{path}"


def _names(parts: re.Match[str]) -> Iterator[tuple[str, str]]:
    """What may be shown of it, decoded, by libpq's words."""
    yield "user", unquote(parts["user"] or "")
    for place in parts["hosts"].split(","):
        yield "host", unquote(_PORT.sub("", place)).removeprefix("[").removesuffix("]")
    yield "dbname", unquote(parts["database"] or "")
    for item in (parts["parameters"] or "").split("&"):
        what, _, value = item.partition("=")
        for part in unquote(value).split(",") if what in ("host", "hostaddr") else [unquote(value)]:
            yield unquote(what), part


def _holds_more(what: str, name: str) -> bool:
    """Whether a name cannot be one: whoever encodes the signs between the parts, too, puts the password into
    the name of a user, a host or a database."""
    if what == "user":
        return ":" in name
    if what in ("host", "hostaddr"):
        return "@" in name or (":" in name and not name.startswith("/") and not _IPV6.fullmatch(name))
    return what == "dbname" and _WHOLE.search(name) is not None
