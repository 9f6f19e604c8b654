"""Lets nobody in whom the cluster does not know: the one door, before routing and before a body is read.

The token is a Kubernetes token as it is (a ServiceAccount's, or a user's of the cluster's identity
provider). ``/healthz`` and what is below it are the only paths without it.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from querytask.web.callers import Acting, Caller, identify
from querytask.web.decisions import Decisions
from querytask.web.problems import Code, Refusal, unauthenticated

OPEN_PATH = "/healthz"
TOKEN_CHARACTERS = 16 * 1024
"""The longest token that is passed on."""
LEEWAY = dt.timedelta(minutes=2)
"""How far the cluster's clock may be behind ours."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Authentication:
    """Puts the ``Caller`` into the request's state, and bounds how much one may ask at one time."""

    def __init__(
        self,
        app: ASGIApp,
        acting: Acting,
        decisions: Decisions,
        most_requests: int,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._app, self._acting, self._decisions = app, acting, decisions
        self._most, self._clock = most_requests, clock
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise a ``Refusal`` or what the API server's silence is."""
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        token = token_of(Headers(scope=scope))
        if is_over(token, self._clock()):
            raise unauthenticated("the bearer token must not be past its time")
        cluster = self._acting(token)
        principal = await identify(cluster, self._decisions)
        state = scope.setdefault("state", {})
        state["caller"] = Caller(principal, cluster, self._decisions)
        state["principal"] = principal.username
        self._enter(principal.username)
        try:
            await self._app(scope, receive, send)
        finally:
            self._leave(principal.username)

    def _enter(self, username: str) -> None:
        if self._under_way[username] >= self._most:
            raise Refusal(
                Code.TOO_MANY_REQUESTS,
                f"at most {self._most} requests of one caller are answered at one time",
                retry_after=1,
            )
        self._under_way[username] += 1

    def _leave(self, username: str) -> None:
        self._under_way[username] -= 1
        if self._under_way[username] <= 0:
            del self._under_way[username]


def is_open(path: str) -> bool:
    """Whether a path needs no token."""
    return path == OPEN_PATH or path.startswith(OPEN_PATH + "/")


def token_of(headers: Headers) -> str:
    """The bearer token of a request; raises a 401 that says what is wrong, and shows nothing of it."""
    given = headers.getlist("authorization")
    if not given:
        raise unauthenticated(
            "the header Authorization must be there, as `Bearer` and a token of the cluster"
        )
    if len(given) > 1:
        raise unauthenticated("the header Authorization must be there once")
    scheme, _, token = given[0].partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer":
        raise unauthenticated("the header Authorization must be `Bearer` and a token of the cluster")
    if len(token) > TOKEN_CHARACTERS or not _TOKEN.fullmatch(token):
        raise unauthenticated("the bearer token must be one of the cluster")
    return token


def is_over(token: str, now: dt.datetime) -> bool:
    """Whether a token says of itself that its time is over. Nothing else in it is read, and it is believed
    nothing that would let anybody in: every other token is the API server's to judge."""
    parts = token.split(".")
    if len(parts) != 3:
        return False
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return False
    until = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(until, bool) or not isinstance(until, int | float):
        return False
    return until < (now - LEEWAY).timestamp()
