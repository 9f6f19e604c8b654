"""The node's program is built again when something that goes into it has changed, and only then."""

from pathlib import Path

import pytest

from cluster.harness.binary import find_go, fingerprint, go_version, version_flags
from cluster.harness.errors import HarnessError
from cluster.harness.layout import NODE_SOURCE


@pytest.fixture
def module(tmp_path: Path) -> Path:
    for name in ("go.mod", "go.sum", "main.go", "internal/part/part.go", "main_test.go"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def fake_go(folder: Path, version: str) -> Path:
    folder.mkdir()
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go", "internal/part/part.go"])
def test_a_changed_source_is_another_build(module: Path, name: str):
    """Every file that is compiled counts."""
    before = fingerprint(module, "go1.26")
    (module / name).write_text("changed")
    assert fingerprint(module, "go1.26") != before


def test_another_go_is_another_build(module: Path):
    """A fault of one Go release must not survive an upgrade."""
    assert fingerprint(module, "go1.26") != fingerprint(module, "go1.27")


def test_a_changed_test_is_the_same_build(module: Path):
    """Eight minutes are too many for what is not compiled."""
    before = fingerprint(module, "go1.26")
    (module / "main_test.go").write_text("changed")
    assert fingerprint(module, "go1.26") == before


def test_the_version_comes_from_the_module():
    """The program says the version of Kubernetes that go.mod requires."""
    flags = version_flags("module m\n\nrequire (\n\tk8s.io/kubernetes v1.34.4\n)\n")
    assert "gitVersion=v1.34.4" in flags
    assert "gitMinor=34 " in flags
    assert version_flags((NODE_SOURCE / "go.mod").read_text())


def test_a_module_without_kubernetes_is_refused():
    """A program without a version would be taken for v0.0.0 by clients."""
    with pytest.raises(HarnessError, match=r"k8s\.io/kubernetes"):
        version_flags("module m\n")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("go1.26.8", (1, 26)), ("go1.19.8", (1, 19)), ("go2.0rc1", (2, 0)), ("devel", (0, 0))],
)
def test_the_release_of_go_is_read(tmp_path: Path, version: str, expected: tuple[int, int]):
    """As numbers: 1.9 is older than 1.24."""
    assert go_version(fake_go(tmp_path / "bin", version)) == expected


def test_a_go_that_is_too_old_is_passed_over(tmp_path: Path):
    """Debian 12's Go comes first on many a PATH and cannot build this module."""
    fake_go(tmp_path / "old", "go1.19.8")
    new = fake_go(tmp_path / "new", "go1.26.8")
    assert find_go(print, f"{tmp_path / 'old'}:{tmp_path / 'none'}:{tmp_path / 'new'}") == new
