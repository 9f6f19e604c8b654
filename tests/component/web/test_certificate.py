"""A renewed certificate is used at once, and one that cannot be used changes nothing."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from cluster.harness.pki import Identity, Pki
from querytask import errors
from querytask.web.server import Certificate


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Two certificates for the same host."""
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.make([Identity(name, name, hosts=("localhost",)) for name in ("old", "new")])
    return made


def lay(pki: Pki, name: str, folder: Path) -> tuple[Path, Path]:
    """Put a certificate and its key where they are looked for, as a mounted Secret changes: all at once."""
    for source, target in ((pki.certificate(name), "tls.crt"), (pki.key(name), "tls.key")):
        shutil.copy(source, folder / "next")
        os.replace(folder / "next", folder / target)
    return folder / "tls.crt", folder / "tls.key"


def served(certificate: Certificate, pki: Pki) -> str:
    """Whose certificate a client is shown."""
    client = ssl.create_default_context(cafile=str(pki.authority))
    out, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(back, out, server_hostname="localhost")
    far = certificate.context.wrap_bio(out, back, server_side=True)
    for side in (near, far, near, far):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    found = near.getpeercert()
    assert found
    subject: Any = found["subject"]
    return str(dict(part[0] for part in subject)["commonName"])


def test_a_renewed_certificate_is_used(pki: Pki, tmp_path: Path):
    """For the next connections; and nothing is read again where nothing has changed."""
    found = Certificate(*lay(pki, "old", tmp_path))
    assert (served(found, pki), found.renew()) == ("old", False)
    lay(pki, "new", tmp_path)
    assert (found.renew(), served(found, pki), found.renew()) == (True, "new", False)


def test_one_that_cannot_be_used_changes_nothing(pki: Pki, tmp_path: Path):
    """A key that does not fit, or half of a file."""
    found = Certificate(*lay(pki, "old", tmp_path))
    shutil.copy(pki.certificate("new"), tmp_path / "tls.crt")
    assert (found.renew(), served(found, pki)) == (False, "old")
    (tmp_path / "tls.crt").write_text("nothing")
    assert (found.renew(), served(found, pki)) == (False, "old")
    lay(pki, "new", tmp_path)
    assert (found.renew(), served(found, pki)) == (True, "new")


def test_without_one_there_is_no_start(tmp_path: Path):
    """And the sentence names the files."""
    with pytest.raises(errors.SettingsError, match=r"tls\.crt and .*tls\.key must hold a certificate"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
