"""Where a history on PostgreSQL is: a URL as libpq takes it, and the only form of it that may be shown.

For ``postgresql`` and everything that names the place of a history in a sentence. A password never leaves
this module but on its way to the server: not in an error, not in a ``repr``, not in a log.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping

from querytask import errors, urls

UNKNOWN = "postgresql://…"
"""Shown for a URL that nobody can read."""
_MUST = (
    f"the URL of the history must be as libpq takes it, such as {urls.EXAMPLE}, {urls.ENCODED} (it is not"
    " shown here, for it may hold the password)"
)


class Address:
    """A database on a PostgreSQL server; ``str`` and ``repr`` are the URL without its password and without
    parameters."""

    def __init__(self, url: str) -> None:
        """Read ``url``; raises ``StoreRefused`` when it is none of PostgreSQL's."""
        self._parameters = _parsed(url)
        self._shown = _shown(self._parameters)

    @property
    def parameters(self) -> Mapping[str, str]:
        """What libpq is told, the password among it: for the driver alone."""
        return self._parameters

    def without_password(self, text: str) -> str:
        """``text`` with three stars for each password in it; one that is also the name of the user or the
        database is no secret."""
        names = {self._parameters.get(name) for name in ("user", "dbname", "host")}
        for name in ("password", "sslpassword"):
            secret = self._parameters.get(name)
            if secret and secret not in names:
                text = text.replace(secret, "***")
        return text

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return self._shown


def shown(url: str) -> str:
    """``url`` without its password and without parameters: the only form that may stand in a log or a
    message. Never raises."""
    try:
        return str(Address(url))
    except errors.StoreRefused:
        return UNKNOWN


def _parsed(url: str) -> dict[str, str]:
    if not urls.readable(url):
        raise errors.StoreRefused(_MUST)
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        found = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        # Without the cause, which may quote a part of the password.
        raise errors.StoreRefused(_MUST) from None
    return {name: str(value) for name, value in found.items() if value is not None}


def _shown(parameters: Mapping[str, str]) -> str:
    hosts = parameters.get("host", parameters.get("hostaddr", "")).split(",")
    ports = parameters.get("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = [_place(host, port) for host, port in zip(hosts, ports, strict=False)]
    user = urllib.parse.quote(parameters.get("user", ""), safe="")
    name = urllib.parse.quote(parameters.get("dbname", ""), safe="")
    return f"postgresql://{user + '@' if user else ''}{','.join(places)}{'/' + name if name else ''}"


def _place(host: str, port: str) -> str:
    quoted = f"[{host}]" if ":" in host else urllib.parse.quote(host, safe="")
    return f"{quoted}:{port}" if port else quoted
