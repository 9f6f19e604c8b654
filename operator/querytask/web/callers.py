"""Whoever calls: the token, the name that the cluster has for it, and what it may do.

A ``Caller`` is made for each request by ``authentication`` and given to the routes; it is the only thing in
the API that can reach the cluster, and it can do so only in its own name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from querytask import names
from querytask.adapters.caller import Access, CallerCluster, Principal
from querytask.web.decisions import Decisions
from querytask.web.problems import Code, Refusal

Acting = Callable[[str], CallerCluster]
"""Makes the calls in the name of a token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated caller."""

    principal: Principal
    cluster: CallerCluster = field(repr=False)
    decisions: Decisions = field(repr=False)

    async def still_there(self) -> None:
        """Raise ``errors.Unauthenticated`` when the token is not valid any more."""
        await identify(self.cluster, self.decisions)

    async def may(self, access: Access) -> bool:
        """Whether the cluster lets the caller do it."""
        return await self._ask(("may", access), lambda: self.cluster.may(access))

    async def must(self, access: Access) -> None:
        """Raise a 403 unless the caller may."""
        if not await self.may(access):
            raise forbidden(self.principal, access, self.cluster.connections.namespace)

    async def must_reach(self, verb: str, name: str | None, shown: str) -> None:
        """Raise unless the caller may do ``verb`` to the task ``name``, which is ``None`` where there is no
        such task: a 403 where it may do so to no task at all, else a 404 that speaks of ``shown``, what was
        asked for. So a 404 does not tell whether the task exists."""
        if await self.may(Access(verb)) and name is not None:
            return
        if name is not None and await self.may(Access(verb, name=name)):
            return
        if not await self.may(Access(verb)):
            access = Access(verb)
            if not await self._ask(("holds", access), lambda: self.cluster.holds(access)):
                raise forbidden(self.principal, access, self.cluster.connections.namespace)
        raise not_found(shown)

    async def _ask(self, about: object, question: Callable[[], Awaitable[bool]]) -> bool:
        return await self.decisions.ask(self.cluster.token, about, question)


async def identify(cluster: CallerCluster, decisions: Decisions) -> Principal:
    """Whom the token of ``cluster`` speaks for."""
    return await decisions.ask_of_stranger(cluster.token, "who", cluster.who)


def forbidden(principal: Principal, access: Access, namespace: str) -> Refusal:
    """A 403, in the words of the cluster."""
    what = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    group = f".{access.group}" if access.group else ""
    detail = f'"{principal.username}" must have the right to {access.verb} {what}{group} in "{namespace}"'
    return Refusal(Code.FORBIDDEN, detail)


def not_found(shown: str) -> Refusal:
    """A 404 for a task; the same whether it is not there or must not be seen."""
    detail = f'there is no task "{shown}", or none that you may read'
    return Refusal(Code.TASK_NOT_FOUND, detail, field="id", value=shown)


async def caller_of(request: Request) -> Caller:
    """The caller of a request, as ``authentication`` found it."""
    return cast(Caller, request.scope["state"]["caller"])


TheCaller = Annotated[Caller, Depends(caller_of)]
"""For the parameters of routes."""
LIST = Access("list", names.TASK_PLURAL)
POD_LOG = Access("get", "pods", group="", subresource="log")
