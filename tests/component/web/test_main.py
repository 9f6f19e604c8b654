"""The start of the API: what makes it impossible is said in a sentence, and a stop is an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.harness.pki import Pki
from querytask import errors
from querytask.web.__main__ import main, serve
from querytask.web.settings import ApiSettings
from tests.component.web.serving import settings

URL = "https://127.0.0.1:1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an API server would be trusted by."""
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.make([])
    return made.authority


@pytest.fixture
def found(tmp_path: Path, authority: Path) -> Callable[..., ApiSettings]:
    """Settings of an API on empty volumes."""
    places = {"history_dir": str(tmp_path), "exports_dir": str(tmp_path), "cluster_ca": str(authority)}
    return lambda **changes: settings(**places | changes)


async def test_a_port_that_is_taken(found, taken: int):
    """Nothing is left running."""
    with pytest.raises(errors.SettingsError, match=f"must be able to listen at 127.0.0.1:{taken}"):
        await serve(found(api_port=taken), URL, asyncio.Event())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"cluster_ca": "/no/ca.crt"},
            "/no/ca.crt must hold the certificates that the API server is trusted",
        ),
        ({"api_tls": "On", "api_key": "/no/tls.key"}, "/no/tls.key must hold a certificate and its key"),
    ],
)
async def test_a_certificate_that_is_missing(found, changes, sentence):
    """The file is named."""
    with pytest.raises(errors.SettingsError, match=sentence):
        await serve(found(**changes), URL, asyncio.Event())


async def test_a_port_of_the_probes_that_is_taken(found, taken: int):
    """As with the API's own."""
    with pytest.raises(errors.SettingsError, match=f"must be able to listen at 127.0.0.1:{taken}"):
        async with asyncio.timeout(10):
            await serve(found(api_health_port=taken), URL, asyncio.Event())


@pytest.mark.parametrize("probed", [False, True])
async def test_a_stop(found, probed: bool):
    """Also before there was a history, and with a door for probes."""
    stopping = asyncio.Event()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1] if probed else 0
    serving = asyncio.ensure_future(serve(found(api_health_port=port), URL, stopping))
    await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(10):
        await serving


def test_a_setting_that_is_none(capsys: pytest.CaptureFixture[str]):
    """Said in the clear, since no log has been set up yet."""
    assert main({"QUERYTASK_COLOUR": "red"}) == 2
    assert capsys.readouterr().err.startswith("querytask.web: QUERYTASK_COLOUR must be a known setting")
