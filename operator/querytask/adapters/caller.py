"""The API server as somebody else's deputy uses it: with the caller's bearer token, and never one of our own.

For the REST API. Who a caller is and what a caller may do, the API server says; what a caller writes is
written in the caller's name, so that the cluster's audit log shows who it was. The client library is not used
here: it keeps credentials in its configuration, and it takes more memory than the whole API. One try each,
errors of our own, and no token in any of their sentences.
"""

from __future__ import annotations

import json
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp

from querytask import errors, names
from querytask.adapters.answers import translate

Raw = dict[str, Any]
Body = Raw | list[Raw]
T = TypeVar("T")

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
ANSWER_BYTES = 8 * 2**20
"""The longest answer that is read: a list page of the largest objects stays below it."""
LIST_PAGE = 100
LOG_SECONDS = 20.0
LOG_SCAN_BYTES = 32 * 2**20
"""How much of a log is passed through for its end; of one with longer lines fewer lines are asked for."""
FEWER_LINES = 8
CONNECTIONS = 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TASKS = f"/apis/{names.GROUP}/{names.VERSION}"
_AUTHENTICATION = "/apis/authentication.k8s.io/v1"
_AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token speaks for."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of a log."""

    text: str
    truncated: bool
    """Whether lines that were asked for are missing before it."""


@dataclass(frozen=True, slots=True)
class Access:
    """A question to the API server: may the caller do this? An empty ``name`` asks for all objects."""

    verb: str
    resource: str = names.TASK_PLURAL
    name: str = ""
    group: str = names.GROUP
    subresource: str = ""


def tls_context(authority: Path) -> ssl.SSLContext:
    """Trusts the certificates in the PEM file ``authority``, and nothing else.

    Raises ``errors.SettingsError`` for a file that holds none.
    """
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise errors.SettingsError(
            f"{authority} must hold the certificates that the API server is trusted by: {error}"
        ) from error


class CallerConnections:
    """The connections to one API server; ``acting`` says in whose name they are used.

    Open it on the loop that uses it, and close it there. ``seconds`` is how long one call may take.
    """

    def __init__(
        self, url: str, namespace: str, *, context: ssl.SSLContext | bool = True, seconds: float = 10.0
    ) -> None:
        self.namespace = namespace
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=seconds),
            # What one caller is given to keep must not be sent in the name of another.
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "querytask-api", "Accept": "application/json"},
            trust_env=False,
        )

    def acting(self, token: str) -> CallerCluster:
        """The calls in the name of whoever ``token`` belongs to."""
        return CallerCluster(self, token)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(
        self, method: str, path: str, token: str, *, body: Body | None = None, seconds: float | None = None
    ) -> bytes:
        """The answer's body; raises subclasses of ``errors.ClusterError``."""
        return await self._exchange(method, path, token, _read, body=body, seconds=seconds)

    async def end_of(self, path: str, token: str, most: int, *, seconds: float) -> tuple[bytes, int]:
        """The last ``most`` bytes of a text, and how many it has; they alone are kept in memory."""

        async def read(answer: aiohttp.ClientResponse) -> tuple[bytes, int]:
            return await _read_end(answer, most)

        return await self._exchange("GET", path, token, read, seconds=seconds)

    async def _exchange(
        self,
        method: str,
        path: str,
        token: str,
        read: Callable[[aiohttp.ClientResponse], Awaitable[T]],
        *,
        body: Body | None = None,
        seconds: float | None = None,
    ) -> T:
        headers = {"Authorization": f"Bearer {token}"}
        data = None
        if body is not None:
            patch = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
            headers["Content-Type"] = patch if method == "PATCH" else "application/json"
            data = json.dumps(body, separators=(",", ":")).encode()
        options: dict[str, Any] = {} if seconds is None else {"timeout": aiohttp.ClientTimeout(total=seconds)}
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=headers, allow_redirects=False, **options
            ) as answer:
                if answer.status < 300:
                    return await read(answer)
                text = await _read(answer)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.Unavailable(f"{method} {path}: {type(error).__name__}") from error
        raise translate(answer.status, text.decode("utf-8", "replace"), answer.headers)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_chunked(64 * 1024):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            raise OSError("the answer is longer than any that was asked for")
    return b"".join(parts)


async def _read_end(answer: aiohttp.ClientResponse, most: int) -> tuple[bytes, int]:
    kept: deque[bytes] = deque()
    size = held = 0
    async for part in answer.content.iter_chunked(64 * 1024):
        kept.append(part)
        size, held = size + len(part), held + len(part)
        while held - len(kept[0]) >= most:
            held -= len(kept.popleft())
    return b"".join(kept)[-most:], size


@dataclass(frozen=True, slots=True)
class CallerCluster:
    """What is done in the name of one caller, in the one namespace. Every call raises subclasses of
    ``errors.ClusterError``; ``Unauthenticated`` when the token is not, or no longer, valid."""

    connections: CallerConnections
    token: str = field(repr=False)

    # who, and what may they do

    async def who(self) -> Principal:
        """Whom the token speaks for."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._json("POST", f"{_AUTHENTICATION}/selfsubjectreviews", body=body)
        try:
            user = answer["status"]["userInfo"]
            found = Principal(str(user["username"]), str(user.get("uid", "")), tuple(user.get("groups", ())))
        except (KeyError, TypeError, AttributeError) as error:
            raise errors.Unavailable("the API server's SelfSubjectReview must name a user") from error
        if not found.username or found.username == "system:anonymous":
            raise errors.Unauthenticated("the token belongs to nobody", 401)
        return found

    async def may(self, access: Access) -> bool:
        """Whether the token's owner has that right in the namespace."""
        attributes = {
            "namespace": self.connections.namespace,
            "verb": access.verb,
            "group": access.group,
            "resource": access.resource,
            "subresource": access.subresource,
            "name": access.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        answer = await self._json("POST", f"{_AUTHORIZATION}/selfsubjectaccessreviews", body=body)
        status = answer.get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    async def holds(self, access: Access) -> bool:
        """Whether the token's owner has that right for any object at all, be it one by its name: what tells
        a 403 from a 404. Only what the cluster's roles say counts; it gives nobody access."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": self.connections.namespace},
        }
        answer = await self._json("POST", f"{_AUTHORIZATION}/selfsubjectrulesreviews", body=body)
        rules = (answer.get("status") or {}).get("resourceRules") or ()
        return any(_covers(rule, access) for rule in rules)

    # QueryTasks

    async def get_task(self, name: str) -> Raw:
        """The task as it is now."""
        return await self._json("GET", self._task(name))

    async def list_tasks(self, field_selector: str = "", limit: int = LIST_PAGE, token: str = "") -> Raw:
        """One page of the tasks that the selector picks: a list, with ``metadata.continue`` where there is
        more."""
        query = {"limit": str(limit), "fieldSelector": field_selector, "continue": token}
        return await self._json("GET", f"{self._task()}?{_query(query)}")

    async def create_task(self, body: Raw, *, dry_run: bool = False, manager: str = "") -> Raw:
        """Create a task; with ``dry_run`` only see whether it could be. A field that the cluster does not
        know is refused. ``manager`` is who is told to own the fields."""
        query = {"fieldValidation": "Strict", "fieldManager": manager, "dryRun": "All" if dry_run else ""}
        return await self._json("POST", f"{self._task()}?{_query(query)}", body=body)

    async def patch_task(self, name: str, body: Body, *, manager: str = "") -> Raw:
        """Merge ``body`` into the task (RFC 7386); or do all that a list says to it (RFC 6902), which raises
        ``errors.Invalid`` without a cause where one of its tests fails."""
        path = self._task(name) + (f"?{_query({'fieldManager': manager})}" if manager else "")
        return await self._json("PATCH", path, body=body)

    async def delete_task(self, name: str, uid: str) -> None:
        """Delete the task, if it is still the same one."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        await self.connections.send("DELETE", self._task(name), self.token, body=body)

    # its worker

    async def pod_log(
        self, pod: str, *, tail_lines: int, most_bytes: int, most_scanned: int = LOG_SCAN_BYTES
    ) -> LogEnd:
        """The end of a worker's log as it is now, at most ``tail_lines`` whole lines and ``most_bytes``; it
        does not wait for more. No more than ``most_scanned`` bytes are passed through at a time."""
        # The cluster's own bound of bytes keeps the beginning of what the lines are, and drops the end.
        lines = tail_lines
        while True:
            text, size = await self._end_of_log(pod, lines, most_bytes, most_scanned)
            if size < most_scanned or lines == 1:
                break
            lines = max(1, lines // FEWER_LINES)
        cut = size > len(text)
        if cut:
            text = text.partition(b"\n")[2] or text
        return LogEnd(text.decode("utf-8", "replace"), cut or lines < tail_lines)

    async def _end_of_log(self, pod: str, lines: int, most: int, scanned: int) -> tuple[bytes, int]:
        query = {
            "container": names.WORKER_CONTAINER,
            "follow": "false",
            "tailLines": str(lines),
            "limitBytes": str(scanned),
        }
        path = f"/api/v1/namespaces/{self.connections.namespace}/pods/{_part(pod)}/log"
        return await self.connections.end_of(f"{path}?{_query(query)}", self.token, most, seconds=LOG_SECONDS)

    def _task(self, name: str = "") -> str:
        path = f"{_TASKS}/namespaces/{self.connections.namespace}/{names.TASK_PLURAL}"
        return f"{path}/{_part(name)}" if name else path

    async def _json(self, method: str, path: str, *, body: Body | None = None) -> Raw:
        text = await self.connections.send(method, path, self.token, body=body)
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise errors.Unavailable(f"{method} {path}: the answer must be a JSON object") from error


def _part(name: str) -> str:
    """The part of a path that names an object; raises ``errors.NotFound`` for a name that no object can
    have, such as ``..``, which would make it another path."""
    if not _NAME.fullmatch(name):
        raise errors.NotFound("there is no object of that name", 404)
    return name


def _query(parts: Mapping[str, str]) -> str:
    return urlencode({key: value for key, value in parts.items() if value})


def _covers(rule: Mapping[str, Any], access: Access) -> bool:
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    return (
        _has(rule, "verbs", access.verb)
        and _has(rule, "apiGroups", access.group)
        and _has(rule, "resources", resource)
    )


def _has(rule: Mapping[str, Any], key: str, value: str) -> bool:
    listed = rule.get(key) or ()
    return value in listed or "*" in listed
