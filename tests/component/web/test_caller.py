"""The calls in a caller's name: which token goes where, and what the API server's answers mean. Against a
scripted API server, for what a real one does not do on request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from querytask import errors
from querytask.adapters.caller import Access, CallerCluster, CallerConnections, Principal

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass
class Server:
    """Answers as it is told, and remembers what it was asked."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    port: int = 0

    lines: list[str] | None = None
    """Of the log of a pod, which is cut as the kubelet does it: first to the last lines, of which the first
    bytes are then sent."""

    def log(self, request: web.Request) -> str:
        tail, limit = int(request.query["tailLines"]), int(request.query["limitBytes"])
        return "".join(f"{line}\n" for line in (self.lines or [])[-tail:])[:limit]

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.types.append(request.headers.get("Content-Type", ""))
        self.asked.append(
            (
                request.method,
                request.path_qs,
                request.headers.get("Authorization", ""),
                json.loads(text) if text else None,
            )
        )
        if self.lines is not None:
            return web.Response(text=self.log(request))
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=body, headers=self.headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@pytest.fixture
async def alice(server: Server) -> AsyncIterator[CallerCluster]:
    connections = CallerConnections(f"http://127.0.0.1:{server.port}", "analytics", seconds=2)
    yield connections.acting("token-of-alice")
    await connections.close()


def user(name: str) -> dict[str, Any]:
    return {"status": {"userInfo": {"username": name, "uid": "1", "groups": ["a", "b"]}}}


async def test_who_one_is(server: Server, alice: CallerCluster):
    """Asked with one's own token."""
    server.body = user("alice")
    assert await alice.who() == Principal("alice", "1", ("a", "b"))
    assert server.asked[0][:3] == ("POST", REVIEW, "Bearer token-of-alice")


@pytest.mark.parametrize("answer", [{}, {"status": {}}, [], {"status": {"userInfo": {}}}, "no json"])
async def test_who_is_not_named_is_not_let_in(server: Server, alice: CallerCluster, answer):
    """An answer that names nobody is no answer."""
    server.body = answer
    with pytest.raises(errors.Unavailable):
        await alice.who()


@pytest.mark.parametrize("name", ["system:anonymous", ""])
async def test_nobody_is_nobody(server: Server, alice: CallerCluster, name):
    """A cluster may know the anonymous user; the API does not."""
    server.body = user(name)
    with pytest.raises(errors.Unauthenticated):
        await alice.who()


async def test_what_one_may_do(server: Server, alice: CallerCluster):
    """In the one namespace, with what is asked for and nothing more."""
    server.body = {"status": {"allowed": True}}
    assert await alice.may(Access("get", name="late"))
    assert server.asked[0][3]["spec"] == {
        "resourceAttributes": {
            "namespace": "analytics",
            "verb": "get",
            "group": "querytask.dev",
            "resource": "querytasks",
            "name": "late",
        }
    }


@pytest.mark.parametrize(
    "answer", [{}, {"status": None}, {"status": {"allowed": "true"}}, {"status": {"allowed": 1}}]
)
async def test_only_a_plain_yes_is_one(server: Server, alice: CallerCluster, answer):
    """Whatever else stands there is a no."""
    server.body = answer
    assert await alice.may(Access("get")) is False


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (
            {
                "verbs": ["get"],
                "apiGroups": ["querytask.dev"],
                "resources": ["querytasks"],
                "resourceNames": ["a"],
            },
            True,
        ),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        ({"verbs": ["list"], "apiGroups": ["querytask.dev"], "resources": ["querytasks"]}, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["querytasks"]}, False),
        ({"verbs": ["get"], "apiGroups": ["querytask.dev"], "resources": ["querytasks/status"]}, False),
        ({}, False),
    ],
)
async def test_a_right_to_any_task(server: Server, alice: CallerCluster, rule, holds):
    """Be it to one by its name."""
    server.body = {"status": {"resourceRules": [{"verbs": ["get"]}, rule]}}
    assert await alice.holds(Access("get")) is holds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (422, errors.Invalid),
        (429, errors.TooManyRequests),
        (500, errors.Unavailable),
        (302, errors.Unavailable),
    ],
)
async def test_what_a_refusal_means(server: Server, alice: CallerCluster, status, kind):
    """An error of our own; a redirect is not followed, for it would take the token elsewhere."""
    server.status, server.body = status, {"message": "no"}
    server.headers = {"Location": "/elsewhere"} if status == 302 else {}
    with pytest.raises(kind):
        await alice.get_task("late")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "name", ["..", ".", "../pods/x", "a/b", "a?b=c", "a#b", "%2e%2e", "A", "a" * 254, "a\n"]
)
async def test_a_name_does_not_lead_elsewhere(server: Server, alice: CallerCluster, name):
    """One that no object can have is not there, and the API server is not asked."""
    for call in (
        alice.get_task(name),
        alice.patch_task(name, {}),
        alice.delete_task(name, "uid"),
        alice.pod_log(name, tail_lines=1, most_bytes=1),
    ):
        with pytest.raises(errors.NotFound):
            await call
    assert server.asked == []


async def test_an_answer_without_end_is_cut(server: Server, alice: CallerCluster):
    """It would fill the memory."""
    server.body = "x" * (9 * 2**20)
    with pytest.raises(errors.Unavailable):
        await alice.get_task("late")


async def test_silence_has_an_end_and_shows_no_token(server: Server, alice: CallerCluster):
    """Nobody listens any more: an error without the token, in its text or in its representation."""
    connections = CallerConnections("http://127.0.0.1:1", "analytics", seconds=0.5)
    bob = connections.acting("token-of-bob")
    with pytest.raises(errors.Unavailable) as caught:
        await bob.who()
    await connections.close()
    assert "token-of-bob" not in f"{caught.value!r} {bob!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("lines", "most", "text", "truncated"),
    [
        (["one", "two", "three"], 1000, "two\nthree\n", False),
        (["one", "two", "three"], 10, "two\nthree\n", False),
        (["one", "two", "three"], 9, "three\n", True),
        (["x" * 100_000, "y" * 100_000 + "z"], 50, "y" * 48 + "z\n", True),
    ],
)
async def test_the_end_of_a_log_is_the_newest_part(
    server: Server, alice: CallerCluster, lines: list[str], most: int, text: str, truncated: bool
):
    """Whole lines, and at least the end of the last one; it is told where some that were asked for are not
    among them."""
    server.lines = lines
    found = await alice.pod_log("worker", tail_lines=2, most_bytes=most)
    assert (found.text, found.truncated) == (text, truncated)


async def test_of_a_log_that_is_too_long_to_be_passed_through_fewer_lines_are_asked_for(
    server: Server, alice: CallerCluster
):
    """What comes first of many lines is not what was written last."""
    server.lines = [f"{number:09}" for number in range(1000)]
    found = await alice.pod_log("worker", tail_lines=800, most_bytes=500, most_scanned=900)
    assert found.text.splitlines() == server.lines[-12:]
    assert found.truncated
    asked = [parse_qs(path.partition("?")[2])["tailLines"][0] for _, path, _, _ in server.asked]
    assert asked == ["800", "100", "12"]


async def test_a_patch_of_several_operations_is_told_as_one(server: Server, alice: CallerCluster):
    """By its type."""
    await alice.patch_task("late", [{"op": "test", "path": "/spec/cancel", "value": False}])
    await alice.patch_task("late", {"spec": {"cancel": True}})
    assert [asked[3] for asked in server.asked] == [
        [{"op": "test", "path": "/spec/cancel", "value": False}],
        {"spec": {"cancel": True}},
    ]
    assert server.types == ["application/json-patch+json", "application/merge-patch+json"]
