"""The image of the container that holds a pod's namespaces: one static program, written as an OCI archive.

It is put together here and not by an image builder, so that a cluster can be started without one.
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

from cluster.harness.binary import PAUSE, Say, built, say

IMAGE = "localhost/querytask-pause:1"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"


def archive(report: Say = say) -> Path:
    """The archive's file, made first if need be."""
    program = built(PAUSE, report)
    target = program.with_suffix(".tar")
    if not target.exists():
        unfinished = target.with_suffix(".unfinished")
        unfinished.write_bytes(oci_archive(program.read_bytes(), IMAGE, architecture()))
        unfinished.rename(target)
    return target


def architecture() -> str:
    """This machine's architecture as images call it."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def oci_archive(program: bytes, name: str, arch: str) -> bytes:
    """An image that holds one program and runs it as nobody."""
    layer = tar({"pause": (program, 0o755)})
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    config_blob = encoded(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config_blob),
        "layers": [descriptor(LAYER, layer)],
    }
    manifest_blob = encoded(manifest)
    entry = descriptor(MANIFEST, manifest_blob) | {
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
        "platform": {"architecture": arch, "os": "linux"},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    blobs = {f"blobs/sha256/{digest(b)[7:]}": (b, 0o644) for b in (layer, config_blob, manifest_blob)}
    layout = encoded({"imageLayoutVersion": "1.0.0"})
    return tar({"oci-layout": (layout, 0o644), "index.json": (encoded(index), 0o644), **blobs})


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A tar file of contents and modes, by name; always the same bytes for the same files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as writer:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            writer.addfile(entry, io.BytesIO(content))
    return out.getvalue()
