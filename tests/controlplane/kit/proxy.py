"""A real HTTP proxy between one operator and the API server: it counts what passes, and follows rules that
refuse, lose, delay, repeat or falsify it.

The operator speaks plain HTTP to it, with its own token, which is passed on; so rights stay what they are.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from tests.controlplane.kit import calls
from tests.controlplane.kit.calls import Call
from tests.controlplane.kit.faults import Answer, Lose, Rule, Stale, Stream

HOP = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "content-encoding"}
)
FOR_EVER = 3600.0
Hook = Callable[[Call], None]


@dataclass
class Proxy:
    """In front of the server of ``kubeconfig``.

    Attributes:
        rules: what is done to calls; the first that takes a call counts.
        passed: the calls that the API server has answered, with the status of the answer, in order.
        before, after: called for every write, when it is about to reach the API server and when it has; an
            OSError in ``before`` keeps it from there.
        cut: nothing passes any more, until it is false again.
    """

    kubeconfig: Path
    rules: list[Rule] = field(default_factory=list)
    passed: list[tuple[Call, int]] = field(default_factory=list)
    before: Hook = lambda call: None
    after: Hook = lambda call: None
    cut: bool = False
    _first: dict[str, bytes] = field(default_factory=dict)

    async def open(self) -> Self:
        """Listen on a free port."""
        config = json.loads(self.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._upstream = cluster["server"]
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, read_bufsize=2**22)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        cluster.clear()
        cluster["server"] = f"http://127.0.0.1:{port}"
        self.own_kubeconfig = self.kubeconfig.with_name(f"kubeconfig-{port}")
        self.own_kubeconfig.write_text(json.dumps(config))
        return self

    async def close(self) -> None:
        """Break every connection."""
        await self._runner.cleanup()
        await self._session.close()

    def rule(self, rule: Rule) -> Rule:
        """Add a rule."""
        self.rules.append(rule)
        return rule

    def writes(self) -> list[Call]:
        """The writes that took effect, but for lease and Events."""
        return [call for call, status in list(self.passed) if call.counted and status < 300]

    # one call

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        call = calls.read(request.method, request.path_qs, body)
        rule = next((rule for rule in self.rules if rule.takes(call)), None)
        act = rule.act if rule is not None else None
        if isinstance(act, Answer):
            return _refusal(act)
        if isinstance(act, Lose) and not act.after:
            return await _lost(request, act)
        if self.cut or (call.writes and not self._may_pass(call)):
            return await _lost(request, Lose(after=False))
        if call.verb == "watch":
            return await self._watch(request, call, act if isinstance(act, Stream) else None)
        return await self._pass(request, call, body, act)

    def _may_pass(self, call: Call) -> bool:
        try:
            self.before(call)
        except OSError:
            return False
        return True

    async def _pass(
        self, request: web.BaseRequest, call: Call, body: bytes, act: object
    ) -> web.StreamResponse:
        key = request.path_qs
        if isinstance(act, Stale) and key in self._first:
            return web.Response(body=self._first[key], content_type="application/json")
        try:
            async with self._ask(request, body) as answer:
                content = await answer.read()
        except aiohttp.ClientError:
            return await _lost(request, Lose(after=False))
        self.passed.append((call, answer.status))
        if call.writes and answer.status < 300:
            self.after(call)
        if call.verb == "list" and answer.status == 200:
            self._first.setdefault(key, content)
        if isinstance(act, Lose):
            return await _lost(request, act)
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() in ("content-type", "retry-after")
        }
        return web.Response(status=answer.status, body=content, headers=kept)

    # a stream of events

    async def _watch(self, request: web.BaseRequest, call: Call, act: Stream | None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            async with self._ask(request, b"") as answer:
                self.passed.append((call, answer.status))
                if answer.status >= 400:
                    return web.Response(status=answer.status, body=await answer.read())
                await response.prepare(request)
                await self._events(answer.content, response, act)
        except (aiohttp.ClientError, ConnectionError):
            pass
        with contextlib.suppress(ConnectionError, RuntimeError):
            await response.write_eof()
        return response

    async def _events(
        self, stream: aiohttp.StreamReader, response: web.StreamResponse, act: Stream | None
    ) -> None:
        how = act.how if act is not None else ""
        kept: bytes | None = None
        if how == "gone":
            await response.write(_GONE)
            return
        if how == "silence":
            await asyncio.sleep(FOR_EVER)
        async for line in stream:
            if how == "drop":
                continue
            if how == "delay" and act is not None:
                await asyncio.sleep(act.seconds)
            if how == "swap" and kept is None:
                kept = line
                continue
            await response.write(line)
            if how == "double":
                await response.write(line)
            if kept is not None:
                await response.write(kept)
                kept = None
            if how == "close":
                return

    def _ask(
        self, request: web.BaseRequest, body: bytes
    ) -> aiohttp.client._BaseRequestContextManager[aiohttp.ClientResponse]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        return self._session.request(
            request.method,
            self._upstream + request.path_qs,
            data=body or None,
            headers=headers | {"Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None),
        )


_GONE = (
    json.dumps(
        {
            "type": "ERROR",
            "object": {
                "kind": "Status",
                "status": "Failure",
                "code": 410,
                "reason": "Expired",
                "message": "too old",
            },
        }
    ).encode()
    + b"\n"
)


def _refusal(act: Answer) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": act.status,
        "reason": act.reason,
        "message": act.message,
    }
    headers = {} if act.retry_after is None else {"Retry-After": str(act.retry_after)}
    return web.json_response(status, status=act.status, headers=headers)


async def _lost(request: web.BaseRequest, act: Lose) -> web.Response:
    await asyncio.sleep(act.seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
