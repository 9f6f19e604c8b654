"""Certificates say who a part is and by which names it may be called; kubeconfigs carry them whole."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from cluster.harness.kubeconfig import Endpoint, write_certificate, write_token
from cluster.harness.pki import ADMIN, Identity, Pki, alternative_name, api_server


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.make([ADMIN, api_server("10.250.0.2")])
    return made


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


def test_a_certificate_names_user_and_groups(pki: Pki):
    """RBAC sees the common name as the user and the organisations as groups."""
    subject = openssl(
        "x509", "-in", str(pki.certificate("admin")), "-noout", "-subject", "-nameopt", "RFC2253"
    )
    assert subject.strip() == "subject=CN=admin,O=system:masters"


def test_the_servers_certificate_has_every_name_it_is_called_by(pki: Pki):
    """Pods call it by the Service, the machine by the address."""
    text = openssl("x509", "-in", str(pki.certificate("apiserver")), "-noout", "-ext", "subjectAltName")
    for name in ("DNS:kubernetes.default.svc", "IP Address:127.0.0.1", "IP Address:10.250.0.2"):
        assert name in text


def test_certificates_are_signed_by_the_authority(pki: Pki):
    """Anything else would be refused by the API server."""
    assert "OK" in openssl("verify", "-CAfile", str(pki.authority), str(pki.certificate("admin")))


def test_what_is_there_stays(pki: Pki):
    """A second start must not make kubeconfigs invalid that somebody has copied."""
    before = pki.certificate("admin").read_bytes()
    pki.make([ADMIN, Identity("other", "other")])
    assert pki.certificate("admin").read_bytes() == before
    assert pki.certificate("other").exists()


@pytest.mark.parametrize(
    ("host", "name"), [("10.0.0.1", "IP:10.0.0.1"), ("node", "DNS:node"), ("n1", "DNS:n1")]
)
def test_addresses_and_names_are_told_apart(host: str, name: str):
    """Clients look for an address among the addresses only."""
    assert alternative_name(host) == name


def test_a_kubeconfig_is_whole_and_private(pki: Pki, tmp_path: Path):
    """It can be copied to anywhere, and only its owner may read the key in it."""
    endpoint = Endpoint("https://10.250.0.2:6443", pki.authority)
    file = write_certificate(tmp_path / "kubeconfig", endpoint, pki, "admin")
    content = json.loads(file.read_text())
    user = content["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == pki.key("admin").read_bytes()
    assert content["clusters"][0]["cluster"]["server"] == endpoint.url
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_token_kubeconfig_starts_in_its_namespace(pki: Pki, tmp_path: Path):
    """A ServiceAccount works in its own namespace unless told otherwise."""
    endpoint = Endpoint("https://10.250.0.2:6443", pki.authority)
    content = json.loads(write_token(tmp_path / "k", endpoint, "secret", "analytics").read_text())
    assert content["contexts"][0]["context"]["namespace"] == "analytics"
    assert content["users"][0]["user"] == {"token": "secret"}
