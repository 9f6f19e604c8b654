"""Puts the API together: routers inside, and around them, from the outside, the access log, the bounds of a
body and the door.

``build`` is given everything and makes nothing that reaches out; the server and the tests run what it
returns.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from querytask import errors
from querytask.web import (
    cancelling,
    description,
    events,
    files,
    health,
    retrying,
    stats,
    submitting,
    task,
    tasks,
    worker_log,
)
from querytask.web.access import Access
from querytask.web.authentication import Authentication
from querytask.web.bodies import Bodies
from querytask.web.parts import Parts
from querytask.web.problems import Code, Refusal, answer_to, noted, refusal_of

ROUTERS: tuple[APIRouter, ...] = (
    submitting.router,
    tasks.router,
    task.router,
    cancelling.router,
    retrying.router,
    files.router,
    worker_log.router,
    stats.router,
    events.router,
    description.router,
    health.router,
)
"""One for each resource; the order is that of the reference."""


def build(parts: Parts) -> ASGIApp:
    """The whole API."""
    settings = parts.settings
    inner = Authentication(
        routes(parts), parts.acting, parts.decisions, settings.api_max_requests, parts.clock
    )
    bounded = Bodies(inner, settings.api_max_body_bytes, settings.api_body_seconds)
    return Access(bounded, parts.monotonic)


def routes(parts: Parts | None = None) -> FastAPI:
    """The routes alone, which nobody guards; without parts for their description only."""
    app = FastAPI(
        title="QueryTask API", version="v1", openapi_url=None, docs_url=None, redoc_url=None, lifespan=None
    )
    app.state.parts = parts
    app.router.redirect_slashes = False
    for kind in (Refusal, RequestValidationError, HTTPException, errors.QueryTaskError, Exception):
        app.add_exception_handler(kind, _refuse)
    for router in ROUTERS:
        app.include_router(router)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    # What nobody foresaw is raised again by the framework after this, and noted at the outermost layer.
    foreseen = isinstance(error, errors.QueryTaskError | Refusal)
    refusal = noted(error) if foreseen else refusal_of(error)
    if refusal.code is Code.METHOD_NOT_ALLOWED:
        refusal.headers["Allow"] = ", ".join(methods(request.url.path))
    return answer_to(refusal, request.scope.get("state", {}).get("request_id"))


def methods(path: str) -> list[str]:
    """The methods of a path, of all routers; the framework names those of one. A path that is a route's own
    counts before one with an ``{id}``."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    own = [route for route in routes if route.path == path]
    fitting = own or [route for route in routes if route.path_regex.match(path)]
    return sorted({method for route in fitting for method in route.methods or ()})
