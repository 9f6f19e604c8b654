"""The application on parts of a test's own, asked without a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx

from querytask.adapters.caller import CallerCluster, Principal
from querytask.adapters.exports import ExportsVolume
from querytask.adapters.operator_metrics import OperatorMetrics
from querytask.adapters.store import Store
from querytask.web import application
from querytask.web.__main__ import now
from querytask.web.decisions import Decisions
from querytask.web.feed import Feed
from querytask.web.history import History
from querytask.web.parts import Parts
from tests.component.web.serving import settings


class Trusting:
    """A cluster that knows everybody and allows everything."""

    token = "token"

    async def who(self) -> Principal:
        return Principal("alice")

    async def may(self, access: object) -> bool:
        return True


class Broken:
    """A history of which every question raises the same."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def ask(*_: object, **__: object) -> Any:
            raise self._error

        return ask


async def ask(
    store: object,
    folder: Path,
    path: str = "/api/v1/tasks",
    token: str = "token",
    volume: ExportsVolume | None = None,
) -> httpx.Response:
    """The answer of an API on that history to a caller who may do everything."""
    (answer,) = await ask_at_once(store, folder, [path], token, volume)
    return answer


async def ask_at_once(
    store: object,
    folder: Path,
    paths: Sequence[str],
    token: str = "token",
    volume: ExportsVolume | None = None,
) -> list[httpx.Response]:
    """The answers to several requests at one time."""
    history, operator = History(folder, cast(Store, store)), OperatorMetrics("")
    parts = Parts(
        settings=settings(),
        history=history,
        volume=volume or ExportsVolume(folder),
        feed=Feed(lambda: history.store, "analytics", seconds=1, most=1),
        operator=operator,
        acting=lambda token: cast(CallerCluster, Trusting()),
        decisions=Decisions(10, time.monotonic),
        clock=now,
        monotonic=time.monotonic,
        stopping=asyncio.Event(),
    )
    transport = httpx.ASGITransport(application.build(parts), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
            return await asyncio.gather(*map(client.get, paths))
    finally:
        parts.volume.close()
        await operator.close()
