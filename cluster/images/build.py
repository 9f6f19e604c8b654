"""Building the operator's and the worker's image with buildah."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.binary import Say, locked, say
from cluster.harness.commands import run, succeeds
from cluster.harness.layout import BUILD, REPOSITORY
from cluster.images import base, wheels
from cluster.images.inputs import fingerprint

OUTPUT = BUILD / "images"
STORAGE = BUILD / "buildah"
BASE_IMAGE = "localhost/querytask-base"


@dataclass(frozen=True)
class Image:
    """One image: its name, its Dockerfile, what its Dockerfile copies.

    Paths are relative to the top of the tree.
    """

    name: str
    dockerfile: str
    lock: str
    sources: tuple[str, ...]

    @property
    def repository(self) -> str:
        return f"querytask-{self.name}"

    def tag(self) -> str:
        """The tag: a hash of all that goes in, so that equal tags are equal images."""
        paths = [REPOSITORY / path for path in (self.dockerfile, self.lock, *self.sources)]
        return f"dev-{fingerprint(REPOSITORY, paths, ' '.join(base.command(Path('-'))))}"


CONTRACT = ("worker-image/querytask_worker/__init__.py", "worker-image/querytask_worker/contract.py")
IMAGES = (
    Image("operator", "operator/Dockerfile", "requirements/operator.lock", ("operator/querytask", *CONTRACT)),
    Image(
        "worker", "worker-image/Dockerfile", "requirements/worker.lock", ("worker-image/querytask_worker",)
    ),
)


@dataclass(frozen=True)
class BuiltImage:
    """An image in an archive.

    `reference` is the name under which a node knows it once the archive was loaded.
    """

    image: Image
    reference: str
    archive: Path


def build(images: Sequence[Image] = IMAGES, report: Say = say) -> list[BuiltImage]:
    """Builds what has changed and returns all. Two processes that ask at once build each image once.

    Raises:
        HarnessError: a step failed; the message holds what its program printed last.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with locked(OUTPUT / "lock"):
        return [_built(image, report) for image in images]


def _built(image: Image, report: Say) -> BuiltImage:
    tag = image.tag()
    reference = f"localhost/{image.repository}:{tag}"
    archive = OUTPUT / f"{image.repository}-{tag}.tar"
    if not archive.exists():
        report(f"building the image {reference} (usually 40 s, 10 s after a change of the code)")
        Buildah(STORAGE, driver(STORAGE)).build(image, reference, archive, report)
        _forget_older(image, archive)
    return BuiltImage(image, reference, archive)


def _forget_older(image: Image, newest: Path) -> None:
    for archive in OUTPUT.glob(f"{image.repository}-dev-*.tar"):
        if archive != newest:
            archive.unlink()


@dataclass(frozen=True)
class Buildah:
    """buildah with storage of its own: nothing of the machine's is touched, `make clean` removes all."""

    storage: Path
    driver: str

    def build(self, image: Image, reference: str, archive: Path, report: Say) -> None:
        """Builds one image into an archive. The network is not used: base and wheels are there."""
        base_image = self._base(report)
        packages = wheels.folder(REPOSITORY / image.lock, report)
        arguments = {
            "BASE": base_image,
            "PIP_OPTIONS": "--no-index --find-links=/wheels",
            "VERSION": reference.rpartition(":")[2],
        }
        self._run(
            *("bud", "--quiet", "--isolation=chroot", "--layers", "--pull-never", f"--tag={reference}"),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *(f"--volume={packages}:/wheels:ro", f"--file={REPOSITORY / image.dockerfile}", str(REPOSITORY)),
        )
        self.push(reference, archive)

    def push(self, reference: str, archive: Path) -> None:
        """Writes an image into an archive, as a whole or not at all."""
        unfinished = archive.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        self._run("push", "--quiet", reference, f"oci-archive:{unfinished}:{reference}")
        unfinished.rename(archive)

    def publish(self, reference: str, target: str) -> None:
        """Sends an image to a registry; buildah's own login is used."""
        self._run("push", "--quiet", reference, f"docker://{target}")

    def _base(self, report: Say) -> str:
        archive = base.archive(report)
        name = f"{BASE_IMAGE}:{archive.stat().st_mtime_ns}"
        if not succeeds(self._command("inspect", "--type=image", name)):
            context = self.storage / "base"
            context.mkdir(parents=True, exist_ok=True)
            (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
            copy = context / "base.tar"
            copy.unlink(missing_ok=True)
            copy.hardlink_to(archive)
            self._run("bud", "--quiet", "--isolation=chroot", f"--tag={name}", str(context))
            shutil.rmtree(context)
        return name

    def _command(self, *arguments: str) -> list[str]:
        places = [f"--root={self.storage / 'root'}", f"--runroot={self.storage / 'run'}"]
        return ["buildah", *places, f"--storage-driver={self.driver}", *arguments]

    def _run(self, *arguments: str) -> str:
        return run(self._command(*arguments), seconds=1800)


def driver(storage: Path, probe: Callable[[Sequence[str]], bool] = succeeds) -> str:
    """`overlay`, or the slower `vfs` where the tree lies on an overlay itself, as in a container."""
    chosen = storage / "driver"
    if not chosen.exists():
        storage.mkdir(parents=True, exist_ok=True)
        scratch = storage / "probe"
        script = (
            'mkdir -p "$1/l" "$1/u" "$1/w" "$1/m" && mount -t overlay o -o lowerdir="$1/l",upperdir="$1/u",'
        )
        script += 'workdir="$1/w" "$1/m" && umount "$1/m"'
        works = probe(["unshare", "--mount", "sh", "-c", script, "sh", str(scratch)])
        shutil.rmtree(scratch, ignore_errors=True)
        chosen.write_text("overlay" if works else "vfs")
    return chosen.read_text()
