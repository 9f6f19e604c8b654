"""Which cluster is used: the embedded node, kind, or one that the user has already.

`CLUSTER` says it: `embedded` (the default), `kind` or `existing`. The three have the same few verbs, so that
the demo and the tests need not know. After `load_images`, `.build/images/NAME.ref` holds the name by which
the cluster knows each image.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cluster.harness import Node
from cluster.harness.binary import Say, say
from cluster.harness.commands import run
from cluster.harness.containerd import images as known_images
from cluster.harness.errors import HarnessError, PrerequisiteError
from cluster.harness.layout import DEFAULT_STATE, REPOSITORY
from cluster.images import IMAGES, Image
from cluster.images.build import OUTPUT, STORAGE, Buildah, build, driver

KIND_NAME = "querytask"

Run = Callable[[Sequence[str]], str]


class Target(Protocol):
    """One kind of cluster."""

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl and helm are to use."""

    def up(self) -> None:
        """Starts the cluster unless it runs."""

    def down(self) -> None:
        """Ends what `up` started."""

    def load_images(self) -> dict[str, str]:
        """Builds the images, makes them known to the cluster, and returns their references by name."""


class EmbeddedCluster:
    """The node of `cluster.harness`."""

    def __init__(self, report: Say = say) -> None:
        self._node = Node(DEFAULT_STATE, report=report)
        self._report = report

    @property
    def kubeconfig(self) -> Path:
        return self._node.kubeconfig

    def up(self) -> None:
        self._node.up()

    def down(self) -> None:
        self._node.down()

    def load_images(self) -> dict[str, str]:
        built = build(report=self._report)
        known = known_images(self._node.sandbox)
        new = [image for image in built if image.reference not in known]
        if new:
            self._report("loading the images into the node (usually 10 s at first, 2 s after a change)")
            self._node.load_images([image.archive for image in new])
        return {image.image.name: image.reference for image in built}


class KindCluster:
    """A cluster in Docker, made by kind.

    Docker builds the images, on the public base, with packages from the network.
    """

    def __init__(self, report: Say = say, execute: Run = run) -> None:
        self._report = report
        self._execute = execute

    @property
    def kubeconfig(self) -> Path:
        return DEFAULT_STATE / "kubeconfig"

    def up(self) -> None:
        if KIND_NAME not in self._execute(["kind", "get", "clusters"]).split():
            self._report("starting a kind cluster (usually 1 min)")
            self._execute(["kind", "create", "cluster", f"--name={KIND_NAME}", "--wait=120s", self._file()])
        self.kubeconfig.parent.mkdir(exist_ok=True)
        self._execute(["kind", "export", "kubeconfig", f"--name={KIND_NAME}", self._file()])

    def down(self) -> None:
        self._execute(["kind", "delete", "cluster", f"--name={KIND_NAME}", self._file()])
        self.kubeconfig.unlink(missing_ok=True)

    def load_images(self) -> dict[str, str]:
        return {image.name: self._load(image) for image in IMAGES}

    def _load(self, image: Image) -> str:
        reference = f"localhost/{image.repository}:{image.tag()}"
        self._report(f"building the image {reference} (usually 1 min)")
        dockerfile = REPOSITORY / image.dockerfile
        self._execute(
            ["docker", "build", "--quiet", f"--tag={reference}", f"--file={dockerfile}", str(REPOSITORY)]
        )
        self._execute(["kind", "load", "docker-image", f"--name={KIND_NAME}", reference])
        return reference

    def _file(self) -> str:
        return f"--kubeconfig={self.kubeconfig}"


class ExistingCluster:
    """The user's own cluster, by KUBECONFIG.

    It takes the images from a registry that IMAGE_REGISTRY names.
    """

    def __init__(self, kubeconfig: Path, registry: str, report: Say = say) -> None:
        self._kubeconfig = kubeconfig
        self._registry = registry.rstrip("/")
        self._report = report

    @property
    def kubeconfig(self) -> Path:
        return self._kubeconfig

    def up(self) -> None:
        """Only looks: the cluster is the user's."""
        if not self._kubeconfig.is_file():
            raise PrerequisiteError(
                f"with CLUSTER=existing, KUBECONFIG must name a file, but {str(self._kubeconfig)!r} is none"
            )

    def down(self) -> None:
        self._report("with CLUSTER=existing nothing is ended: the cluster is yours")

    def load_images(self) -> dict[str, str]:
        if not self._registry:
            raise PrerequisiteError(
                "with CLUSTER=existing, IMAGE_REGISTRY must name a registry and folder that the cluster "
                "pulls from and that `buildah login` knows, such as registry.example.com/team"
            )
        references = {}
        for image in build(report=self._report):
            name, _, tag = image.reference.removeprefix("localhost/").rpartition(":")
            references[image.image.name] = f"{self._registry}/{name}:{tag}"
            self._report(f"pushing {references[image.image.name]}")
            Buildah(STORAGE, driver(STORAGE)).publish(image.reference, references[image.image.name])
        return references


def chosen(environment: Mapping[str, str], report: Say = say) -> Target:
    """The cluster that the environment asks for.

    Raises:
        HarnessError: CLUSTER is none of the three words.
    """
    match environment.get("CLUSTER") or "embedded":
        case "embedded":
            return EmbeddedCluster(report)
        case "kind":
            return KindCluster(report)
        case "existing":
            kubeconfig = environment.get("KUBECONFIG") or "~/.kube/config"
            return ExistingCluster(
                Path(kubeconfig).expanduser(), environment.get("IMAGE_REGISTRY", ""), report
            )
        case other:
            raise HarnessError(f"CLUSTER must be `embedded`, `kind` or `existing`, not {other!r}")


def write_references(references: Mapping[str, str], folder: Path = OUTPUT) -> None:
    """Notes under which names the cluster knows the images: the chart is installed with these."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, reference in references.items():
        (folder / f"{name}.ref").write_text(reference + "\n")
