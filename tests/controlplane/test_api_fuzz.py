"""The API and its description agree: schemathesis asks what the document allows, and what it does not, and
holds every answer to it.

With a caller that may read and not write, so that nothing is made by chance; without the stream of events,
which does not end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks, positive_data_acceptance

from querytask.web import application, description
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts
from tests.controlplane.kit.site import Site

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(description.document(application.routes())).exclude(
    path="/api/v1/events"
)
NOT_FOR_US = [positive_data_acceptance]
"""It knows no rules between fields, and no cursor but a made-up one, which must be refused."""


@pytest.fixture(scope="module")
def how(_shared: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """How a server beside the shared operator is called, with a reader's token."""
    token = Accounts(_shared.plane, _shared.namespace).make("api-fuzz", pods=True)
    with (
        api.serving(_shared, tmp_path_factory.mktemp("fuzz"), api_max_wait_seconds=1) as process,
        requests.Session() as session,
    ):
        session.trust_env = False
        yield {
            "base_url": process.url,
            "headers": {"Authorization": f"Bearer {token}"},
            "session": session,
            "verify": str(process.pki.authority),
        }
        assert [line for line in process.requests() if line["status"] == 200]


@SCHEMA.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case, how: dict[str, Any]):
    """Status, type, schema and headers; no fault, no door left open, no wrong request taken."""
    case.call_and_validate(**how, excluded_checks=NOT_FOR_US)
