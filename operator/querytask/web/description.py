"""The OpenAPI document: what the framework knows of the routes, and what it cannot know: the refusals, and
the door.

Served to whoever is let in, checked in as ``docs/reference/openapi.json``, and the source of the page beside
it; a test holds all three together.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from querytask.web.answers import tagged
from querytask.web.authentication import is_open
from querytask.web.problems import Problem, documented
from querytask.web.views import ChangeView, ResetView

router = APIRouter(prefix="/api/v1/openapi.json", tags=["description"])
TEMPLATE = "#/components/schemas/{model}"
ABOUT = """Run SQL queries as QueryTasks of a Kubernetes cluster, and read what became of them.

Every call but `/healthz` needs a bearer token of the cluster: who you are and what you may do is what the
cluster says of that token. Refusals are `application/problem+json` with a `code` from a closed set."""


@router.get(
    "",
    response_class=Response,
    responses=documented()
    | {
        200: {
            "description": "This document.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
    summary="Describe the API",
)
async def get_description(request: Request) -> Response:
    """The OpenAPI document of this API."""
    return tagged(request, text_of(request.app))


def text_of(app: FastAPI) -> bytes:
    """The document as JSON, the same bytes each time."""
    return json.dumps(document(app), indent=2, ensure_ascii=False, sort_keys=False).encode() + b"\n"


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    found: dict[str, Any] = app.openapi()
    found["info"]["description"] = ABOUT
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= _schemas()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the cluster: a ServiceAccount's, or one of its identity provider.",
        }
    }
    found["security"] = [{"token": []}]
    for path, calls in found["paths"].items():
        for call in calls.values():
            if is_open(path):
                call["security"] = []
            _without_default(call)
    return found


def _schemas() -> dict[str, Any]:
    """The models that no route returns by themselves."""
    models = [(model, "serialization") for model in (Problem, ChangeView, ResetView)]
    _, found = models_json_schema(models, ref_template=TEMPLATE)  # type: ignore[arg-type]
    return dict(found["$defs"])


def _without_default(call: dict[str, Any]) -> None:
    """The framework's own 422, where it put one: ours has another shape."""
    refusal = call["responses"].get("422", {}).get("content", {}).get("application/json")
    if refusal is not None:
        call["responses"].pop("422")
