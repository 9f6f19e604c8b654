"""The API server as kubelet, observer and proxy use it: JSON in and out, with an administrator's rights, and
a watch that survives whatever becomes of the server."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp

from cluster.harness import ControlPlane
from cluster.harness.errors import ApiError

Json = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"
PAUSE_SECONDS = 0.1
PAGE = 500


class Client:
    """One client with its own connections; for use on one loop."""

    def __init__(self, url: str, context: ssl.SSLContext, *, connections: int = 32) -> None:
        self.url = url
        self._context, self._connections = context, connections
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def admin(cls, plane: ControlPlane) -> Client:
        """A client with an administrator's certificate."""
        return cls(plane.url, plane.api.context)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)

    async def call(self, method: str, path: str, body: Json | None = None, *, seconds: float = 10.0) -> Json:
        """The answer; raises ``ApiError`` for a refusal and ``OSError`` or ``TimeoutError`` for silence."""
        headers = {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/json"}
        data = None if body is None else json.dumps(body).encode()
        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._open().request(
                method, self.url + path, data=data, headers=headers, timeout=limit
            ) as answer:
                text = await answer.read()
        except aiohttp.ClientError as error:
            raise OSError(f"{method} {path}: {error}") from error
        content: Json = (
            json.loads(text) if text.startswith(b"{") else {"message": text.decode("utf-8", "replace")}
        )
        if answer.status >= 400:
            raise ApiError(answer.status, f"{method} {path}: {content.get('message')}")
        return content

    async def list(self, path: str, **selectors: str) -> tuple[list[Json], str]:
        """Everything that is there now, and the resourceVersion of the list."""
        items: list[Json] = []
        query = {"limit": str(PAGE)} | selectors
        while True:
            answer = await self.call("GET", f"{path}?{urlencode(query)}")
            items.extend(answer["items"])
            if not (token := answer["metadata"].get("continue")):
                return items, str(answer["metadata"]["resourceVersion"])
            query["continue"] = token

    async def watch(self, path: str, **selectors: str) -> AsyncIterator[tuple[str, Json]]:
        """What is there and what becomes of it, for ever, as (``ADDED`` | ``MODIFIED`` | ``DELETED``,
        object).

        A stream that breaks goes on where it was. Where the server cannot do that everything is listed again,
        and what is told next follows a ``GAP``, in which versions may have been missed.
        """
        known: dict[str, Json] = {}
        version = ""
        while True:
            try:
                if not version:
                    items, version = await self.list(path, **selectors)
                    yield "GAP", {}
                    for change in _changes(known, items):
                        yield change
                async for kind, item in self._stream(path, version, selectors):
                    version = str(item["metadata"]["resourceVersion"])
                    if kind != "BOOKMARK":
                        _note(known, kind, item)
                        yield kind, item
            except ApiError:
                version = ""
                await asyncio.sleep(PAUSE_SECONDS)
            except (OSError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)

    async def _stream(
        self, path: str, version: str, selectors: dict[str, str]
    ) -> AsyncIterator[tuple[str, Json]]:
        query = selectors | {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        try:
            async with self._open().get(
                f"{self.url}{path}?{urlencode(query)}", timeout=aiohttp.ClientTimeout(total=None)
            ) as answer:
                if answer.status >= 400:
                    raise ApiError(answer.status, await answer.text())
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(int(event["object"].get("code", 500)), str(event["object"]))
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, ValueError) as error:
            raise OSError(str(error)) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._context, limit=self._connections + 8)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=2**22)
        return self._session


def _changes(known: dict[str, Json], items: list[Json]) -> list[tuple[str, Json]]:
    present = {item["metadata"]["uid"]: item for item in items}
    gone = [("DELETED", item) for uid, item in known.items() if uid not in present]
    new = [
        ("MODIFIED" if uid in known else "ADDED", item)
        for uid, item in present.items()
        if uid not in known or _version(known[uid]) != _version(item)
    ]
    known.clear()
    known.update(present)
    return gone + new


def _note(known: dict[str, Json], kind: str, item: Json) -> None:
    if kind == "DELETED":
        known.pop(item["metadata"]["uid"], None)
    else:
        known[item["metadata"]["uid"]] = item


def _version(item: Json) -> str:
    return str(item["metadata"]["resourceVersion"])
