"""The description of the API: complete, checked in, and the same as the routes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from querytask.web import application, description, reference
from querytask.web.problems import CODES, EVERYWHERE, Code

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
APP = application.routes()
DOCUMENT = description.document(APP)
CALLS = [(path, method, call) for path, calls in DOCUMENT["paths"].items() for method, call in calls.items()]
NAMES = [f"{method} {path}" for path, method, _ in CALLS]


@pytest.mark.parametrize("name", reference.pages())
def test_what_is_checked_in_is_what_the_routes_say(name):
    """`python -m querytask.web.reference` makes it anew."""
    assert (FOLDER / name).read_text(encoding="utf-8") == reference.pages()[name]


def test_the_check_can_fail(tmp_path, capsys):
    """And names what is wrong."""
    assert reference.main(["--check", "--folder", str(tmp_path)]) == 1
    assert f"{tmp_path}/rest-api.md must be made anew" in capsys.readouterr().err
    assert reference.main(["--folder", str(tmp_path)]) == 0
    assert reference.main(["--check", "--folder", str(tmp_path)]) == 0


@pytest.mark.parametrize("call", CALLS, ids=NAMES)
def test_every_call_is_described(call):
    """A summary, a sentence, the door; and every parameter its meaning or a telling name."""
    path, _, found = call
    assert found["summary"]
    assert found["description"].endswith(".")
    assert found.get("security", DOCUMENT["security"]) == (
        [] if path.startswith("/healthz") else [{"token": []}]
    )


@pytest.mark.parametrize("call", CALLS, ids=NAMES)
def test_every_refusal_has_the_one_shape(call):
    """Of whatever status, but for `/healthz`, which has no refusals."""
    path, _, found = call
    if path.startswith("/healthz"):
        return
    told = {int(status): answer for status, answer in found["responses"].items() if int(status) >= 400}
    assert {CODES[code].status for code in EVERYWHERE} <= set(told)
    for answer in told.values():
        assert answer["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }


def test_every_code_is_in_the_reference():
    """With its status and its meaning."""
    page = reference.pages()["rest-api.md"]
    for code, meaning in CODES.items():
        assert f"| {meaning.status} | `{code}` | {meaning.text} |" in page
    assert set(CODES) == set(Code)


def test_every_route_is_described():
    """None is left out of the document."""
    routes = {route.path for route in _routes(APP.routes)}
    assert routes == set(DOCUMENT["paths"])


def _routes(found):
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from _routes(getattr(getattr(route, "original_router", None), "routes", []))
