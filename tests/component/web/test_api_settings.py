"""The API's settings: read once, bounded, and the address of the API server from where it is known."""

from __future__ import annotations

import dataclasses

import pytest

from querytask.errors import SettingsError
from querytask.web import settings
from querytask.web.settings import ApiSettings

NEEDED = {"QUERYTASK_NAMESPACE": "analytics"}


def read(**changes: str) -> ApiSettings:
    return settings.read(NEEDED | {f"QUERYTASK_{name}": text for name, text in changes.items()})


def test_what_is_needed_is_enough():
    """TLS is on, and a word on a caller is kept for ten seconds."""
    found = read()
    assert (found.api_tls, found.api_port, found.decision_seconds) == ("On", 8443, 10.0)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("DECISION_SECONDS", "11", "must be at most 10, not 11"),
        ("API_TLS", "Maybe", 'must be one of On, Off, not "Maybe"'),
        ("API_PORT", "70000", "must be at most 65535"),
        ("API_MAX_BODY_BYTES", "1", "must be at least 1024"),
        ("WORKER_IMAGE", "w", "must be a known setting"),
    ],
)
def test_faults(name, text, sentence):
    """The sentence names the variable."""
    with pytest.raises(SettingsError, match=f"^QUERYTASK_{name} {sentence}"):
        read(**{name: text})


@pytest.mark.parametrize("item", dataclasses.fields(ApiSettings), ids=lambda item: item.name)
def test_every_setting_says_what_it_means(item):
    """In a sentence; and its default is within its own bounds, which reading them proves."""
    assert item.metadata["text"].endswith(".")


def test_those_who_wait_leave_connections_for_the_others():
    """As set by default: a crowd that waits is told 429 before the next one finds no connection free."""
    found = read()
    assert found.api_max_waiting <= found.api_max_connections * 3 // 4


@pytest.mark.parametrize(
    ("url", "environment", "found"),
    [
        ("https://x:6443", {}, "https://x:6443"),
        ("", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "https://10.0.0.1:443"),
        (
            "",
            {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"},
            "https://[fd00::1]:6443",
        ),
        ("https://x", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "https://x"),
    ],
)
def test_where_the_api_server_is(url, environment, found):
    """As set, else as every pod is told."""
    assert settings.cluster_url(read(CLUSTER_URL=url), environment) == found


@pytest.mark.parametrize("url", ["", "http://x"])
def test_a_token_is_never_sent_in_the_clear(url):
    """Nor to nowhere."""
    with pytest.raises(SettingsError, match="must be the https address"):
        settings.cluster_url(read(CLUSTER_URL=url), {})
