"""Images are built again when something in them has changed, and hold what their Dockerfiles copy."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from cluster.harness.layout import REPOSITORY
from cluster.harness.pause import architecture, oci_archive
from cluster.images import IMAGES, Image
from cluster.images.inputs import fingerprint

each_image = pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("x = 1\n")
    return tmp_path


def named(tree: Path) -> str:
    return fingerprint(tree, [tree / "package"], "base")


def test_content_names_and_modes_are_part_of_the_tag(tree: Path):
    """Two different images must never have one tag: the node would run the older one."""
    seen = {named(tree)}
    (tree / "package" / "module.py").write_text("x = 2\n")
    seen.add(named(tree))
    (tree / "package" / "module.py").rename(tree / "package" / "other.py")
    seen.add(named(tree))
    (tree / "package" / "other.py").chmod(0o755)
    seen.add(named(tree))
    seen.add(fingerprint(tree, [tree / "package"], "another base"))
    assert len(seen) == 5


def test_what_python_makes_itself_is_not_part_of_the_tag(tree: Path):
    """Running the tests must not cause a build."""
    before = named(tree)
    (tree / "package" / "__pycache__").mkdir()
    (tree / "package" / "__pycache__" / "module.cpython-311.pyc").touch()
    assert named(tree) == before


@each_image
def test_everything_that_is_copied_is_part_of_the_tag(image: Image):
    """A path in the Dockerfile that the tag does not know would make stale images."""
    text = (REPOSITORY / image.dockerfile).read_text().replace("\\\n", " ")
    copied = [line.split()[1:-1] for line in text.splitlines() if re.match(r"COPY (?!--from)", line)]
    assert sorted(path for paths in copied for path in paths) == sorted([image.lock, *image.sources])


@each_image
def test_everything_that_is_copied_is_in_the_build_context(image: Image):
    """`.dockerignore` leaves all out but what it names."""
    allowed = [
        line[1:].removesuffix("/*.lock")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for path in (image.lock, *image.sources):
        assert any(Path(path).is_relative_to(entry) for entry in allowed), path


@each_image
def test_images_run_as_nobody_from_a_root_that_is_read_only(image: Image):
    """The chart demands both; the image alone must not need more."""
    text = (REPOSITORY / image.dockerfile).read_text()
    assert "\nUSER 65532:65532\n" in text
    assert "PYTHONDONTWRITEBYTECODE=1" in text
    assert text.startswith("#")
    assert "\nARG BASE=python:3.11-slim\n" in text


def test_the_operator_holds_of_the_worker_the_contract_alone():
    """DuckDB's code has no business in the process that has credentials."""
    [operator] = [image for image in IMAGES if image.name == "operator"]
    of_the_worker = [path for path in operator.sources if path.startswith("worker-image")]
    assert [Path(path).name for path in of_the_worker] == ["__init__.py", "contract.py"]


def read(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as reader:
        files = {entry.name: reader.extractfile(entry) for entry in reader if entry.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_the_pause_image_is_a_sound_oci_archive():
    """Every blob is there under its digest, and the layer holds one program that may be run."""
    files = read(oci_archive(b"program", "localhost/pause:1", architecture()))
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    [entry] = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/pause:1"
    manifest = json.loads(files[blob(entry)])
    assert json.loads(files[blob(manifest["config"])])["config"]["Entrypoint"] == ["/pause"]
    with tarfile.open(fileobj=io.BytesIO(files[blob(manifest["layers"][0])])) as layer:
        assert [(member.name, member.mode) for member in layer] == [("pause", 0o755)]


def test_the_pause_image_is_always_the_same():
    """Equal contents give equal bytes, whenever they are made."""
    assert oci_archive(b"program", "n", "amd64") == oci_archive(b"program", "n", "amd64")


def blob(descriptor: dict) -> str:
    return f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"
