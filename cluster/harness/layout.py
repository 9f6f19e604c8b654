"""Where things are: what is built once in `.build/`, and the state of a running node in `.cluster/`."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / ".build"
NODE_SOURCE = REPOSITORY / "cluster" / "node"
DEFAULT_STATE = REPOSITORY / ".cluster"


@dataclass(frozen=True)
class Layout:
    """The folders of one node. Everything that it writes lies under `state`; `down` keeps the logs."""

    state: Path

    @property
    def identifier(self) -> str:
        """Tells two nodes of one machine apart, in the names of what the kernel holds for them."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def record(self) -> Path:
        """What was started, for the commands that come later."""
        return self.state / "node.json"

    @property
    def lock(self) -> Path:
        """Held by the one command that changes the node; it and the logs are what `down` keeps."""
        return self.state / "lock"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    def folder(self, name: str) -> Path:
        """A folder of one part; it is made when it is not there."""
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        return path
