"""The API and its description agree: schemathesis asks what the document allows, and what it does not, and
holds every answer to it.

With a caller that may read and not write, so that nothing is made by chance. Of the stream of events, which
does not end, what comes in a moment is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from requests.adapters import HTTPAdapter
from schemathesis.checks import load_all_checks, negative_data_rejection, positive_data_acceptance

from querytask.web import application, description
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts
from tests.controlplane.kit.site import Site

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(description.document(application.routes()))
NOT_FOR_US = [positive_data_acceptance]
"""It knows no rules between fields, and no cursor but a made-up one, which must be refused."""
STREAM_SECONDS = 0.2
"""How long a stream may be silent until its end is not waited for."""


class Bounded(HTTPAdapter):
    """Waits for the head of an answer as long as for any, and for more of a stream only a moment."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        found = super().send(*arguments, **options)
        if found.headers.get("Content-Type", "").startswith("text/event-stream"):
            found.raw.connection.sock.settimeout(STREAM_SECONDS)
        return found


@pytest.fixture(scope="module")
def how(_shared: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """How a server beside the shared operator, which has had a task, is called, with a reader's token."""
    _shared.submit("succeed", name="fuzzed")
    _shared.succeeds("fuzzed")
    token = Accounts(_shared.plane, _shared.namespace).make("api-fuzz", pods=True)
    with (
        api.serving(_shared, tmp_path_factory.mktemp("fuzz"), api_max_wait_seconds=1) as process,
        requests.Session() as session,
    ):
        session.trust_env = False
        session.mount("https://", Bounded())
        yield {
            "base_url": process.url,
            "headers": {"Authorization": f"Bearer {token}"},
            "session": session,
            "verify": str(process.pki.authority),
        }
        answered = {line["path"] for line in process.requests() if line["status"] == 200}
        assert {"/api/v1/tasks", "/api/v1/events"} <= answered


def misses_the_token(case: schemathesis.Case) -> bool:
    """Whether a case is wrong in that it has no token, among other things: it is sent with one, and what
    remains of its faults, such as a parameter that is not known, may be none. Who has no token is asked about
    in ``test_door``."""
    mutations = getattr(case.meta.phase.data, "mutations", ()) if case.meta else ()
    return any("Authorization" in (item.parameter, item.original_value) for item in mutations)


@SCHEMA.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case, how: dict[str, Any]):
    """Status, type, schema and headers; no fault, no door left open, no wrong request taken."""
    excluded = [*NOT_FOR_US, negative_data_rejection] if misses_the_token(case) else NOT_FOR_US
    case.call_and_validate(**how, excluded_checks=excluded)
