"""The URL of a database, as libpq takes it: what is one, and as much of it as anybody may see.

For the settings, which say what is wrong with one and must not show a password. A leaf; whether there is such
a server, and what its parameters mean, only the store knows.
"""

from __future__ import annotations

import re

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


def readable(url: str) -> bool:
    """Whether nobody can take a part of the password for something else: it is a URL of a PostgreSQL server,
    and each sign in it has one meaning."""
    parts = _URL.fullmatch(url)
    return parts is not None and parts["scheme"] in _SCHEMES and url.isprintable()


def fault(url: str) -> str:
    """What is wrong with a URL of a PostgreSQL database, without its password; empty for a good one."""
    parts = _URL.fullmatch(url)
    if parts is None or not readable(url):
        return (
            f"must be a URL such as {EXAMPLE}, with every sign of the password that is no letter and no digit"
            f' percent-encoded, not "{visible(url)}"'
        )
    parameters = dict(item.partition("=")[::2] for item in (parts["parameters"] or "").split("&"))
    if not parts["database"] and "dbname" not in parameters:
        return f'must name the database after the host, as in {EXAMPLE}, not "{visible(url)}"'
    if any(not 0 < int(port or 1) < 65536 for port in _PORT.findall(parts["hosts"])):
        return f'must have a port from 1 to 65535, not "{visible(url)}"'
    return ""


def visible(url: str) -> str:
    """A URL without its password and its parameters. Of a text that is no URL hardly anything: of no part is
    it known that it is not the password."""
    parts = _URL.fullmatch(url)
    if parts is None:
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url)
        return f"{scheme[0] if scheme else ''}…"
    user = f"{parts['user']}@" if parts["user"] else ""
    path = f"/{parts['database']}" if parts["database"] is not None else ""
    return f"{parts['scheme']}://{user}{parts['hosts']}{path}"
