"""What a new machine gets is known beforehand: locks, hashes, targets, and no need of anything else."""

import ast
import base64
import hashlib
import re
import sys
from pathlib import Path

import pytest

from cluster.harness.errors import HarnessError
from cluster.harness.layout import REPOSITORY
from cluster.setup.tools import check
from scripts.run_tests import TIERS, Outcome, report

REQUIREMENTS = REPOSITORY / "requirements"
LOCKS = sorted(REQUIREMENTS.glob("*.lock"))
PIN = re.compile(r"^([a-z0-9-]+)==([^ ]+)", re.MULTILINE)


def pins(lock: Path) -> set[tuple[str, str]]:
    return set(PIN.findall(lock.read_text()))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_versions_and_hashes_and_no_addresses(lock: Path):
    """Where packages come from is the machine's business; what they are is ours."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^--?(index|extra|find|trusted|f |i )", text, re.MULTILINE)
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert PIN.match(requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("name", ["operator", "worker"])
def test_tests_use_what_the_images_hold(name: str):
    """Another version in the tests would prove nothing of the image."""
    assert pins(REQUIREMENTS / f"{name}.lock") <= pins(REQUIREMENTS / "dev.lock")


def test_the_engine_is_the_one_that_was_measured():
    """Its interrupts, limits and extensions were looked at in this version."""
    assert ("duckdb", "1.5.5") in pins(REQUIREMENTS / "worker.lock")


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "cluster").rglob("*.py")), ids=lambda file: str(file.relative_to(REPOSITORY))
)
def test_the_harness_needs_only_the_standard_library(file: Path):
    """It runs before anything was installed."""
    imported = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.add((node.module or "").partition(".")[0])
    assert imported - {"cluster"} <= sys.stdlib_module_names


def test_a_download_that_is_something_else_is_refused():
    """The package may be replaced; its hash cannot."""
    integrity = base64.b64encode(hashlib.sha512(b"helm").digest()).decode()
    check(b"helm", integrity, "helm")
    with pytest.raises(HarnessError, match="helm must have the SHA-512"):
        check(b"other", integrity, "helm")


def test_every_tier_is_a_target():
    """A misspelt one would fail only after all the others have run."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert {tier.target for tier in TIERS} <= targets
    assert {
        "demo",
        "setup",
        "cluster-up",
        "cluster-down",
        "images",
        "crds",
        "lint",
        "bench",
        "lock",
    } <= targets


def test_one_tier_that_fails_fails_the_run(capsys: pytest.CaptureFixture[str]):
    """The summary names it, and the exit code is what CI looks at."""
    good, bad = Outcome("test-unit", True, 1), Outcome("test-e2e", False, 2)
    assert report([good], 1) == 0
    assert report([good, bad], 3) == 1
    assert "FAILED   test-e2e" in capsys.readouterr().out
