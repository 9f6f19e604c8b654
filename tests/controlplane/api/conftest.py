"""One API beside the operator that is shared, and callers of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.controlplane.kit import api
from tests.controlplane.kit.api import WRITE, Accounts, ApiProcess
from tests.controlplane.kit.site import Site


@pytest.fixture(scope="session")
def accounts(_shared: Site) -> Accounts:
    return Accounts(_shared.plane, _shared.namespace)


@pytest.fixture(scope="session")
def server(_shared: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API beside the shared operator, quick to see that a right is gone."""
    port = _shared.operators[-1].port
    with api.serving(
        _shared,
        tmp_path_factory.mktemp("api"),
        decision_seconds=0.2,
        api_heartbeat_seconds=0.2,
        operator_metrics_url=f"http://127.0.0.1:{port}/metrics",
    ) as process:
        yield process


@pytest.fixture(scope="session")
def reader(server: ApiProcess, accounts: Accounts) -> Iterator[httpx.Client]:
    """A caller that may read tasks and logs."""
    with server.client(accounts.make("api-reader", pods=True)) as client:
        yield client


@pytest.fixture(scope="session")
def writer(server: ApiProcess, accounts: Accounts) -> Iterator[httpx.Client]:
    """A caller that may do all that the API asks for, and nothing to pods."""
    with server.client(accounts.make("api-writer", WRITE)) as client:
        yield client
