"""``/healthz``: the only answers without a token. They say whether the process and the history are well, and
nothing else.

The kubelet asks ``/healthz`` whether a restart would help, and ``/healthz/ready`` whether requests should
come here. The API server's silence does not show here: this API then answers 503 by itself, and taking it
out of its Service would only hide why.
"""

from __future__ import annotations

import logging

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from querytask import errors
from querytask.web.parts import TheParts

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])


class Health(BaseModel):
    """How the API is."""

    ok: bool
    checks: dict[str, str]
    """Each check with `ok`, or with what is wrong."""


@router.get("/healthz", response_model=Health, summary="Whether the process is well")
async def healthz() -> Response:
    """Without a token. That it answers is the answer."""
    return _answer({})


@router.get(
    "/healthz/ready",
    response_model=Health,
    responses={503: {"model": Health, "description": "Not now."}},
    summary="Whether requests can be answered",
)
async def ready(parts: TheParts) -> Response:
    """Without a token. 503 while the history cannot be read, or while the API is being stopped."""
    failed = {"stopping": "the API is being stopped"} if parts.stopping.is_set() else {}
    try:
        await parts.store.get("")
    except errors.StoreError as error:
        log.warning("The history cannot be read: %s", error)
        failed["history"] = "the history cannot be read"
    return _answer(failed)


def _answer(failed: dict[str, str]) -> Response:
    checks = {"history": "ok"} | failed
    return JSONResponse({"ok": not failed, "checks": checks}, 503 if failed else 200)
