"""A whole Kubernetes of one node: starts it, tells how it is, and ends it without a trace.

All state is in one folder, so every command finds the node that an earlier one started. Two nodes with
different folders run side by side.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.harness import containerd, pause, pki, prerequisites, volumes
from cluster.harness.api import Api
from cluster.harness.binary import Say, locked, node_binary, say
from cluster.harness.errors import HarnessError
from cluster.harness.layout import DEFAULT_STATE, Layout
from cluster.harness.record import Record
from cluster.harness.sandbox import Sandbox
from cluster.harness.startup import Startup, place
from cluster.harness.teardown import teardown


class Node:
    """One node with its control plane, named by its state folder. Needs root."""

    def __init__(self, state: Path = DEFAULT_STATE, *, binary: Path | None = None, report: Say = say) -> None:
        self.layout = Layout(state.resolve())
        self._binary = binary
        self._report = report

    @property
    def kubeconfig(self) -> Path:
        """An administrator's; it is there while the node runs."""
        return self.layout.kubeconfig

    def up(self) -> None:
        """Starts the node, or does nothing when it runs. What is left of a broken one is ended first.

        Raises:
            PrerequisiteError: the machine lacks something.
            PartError: a part did not come up. What was started is left for a look at its logs; `down` ends
                it.
        """
        prerequisites.complete_path()
        prerequisites.check(self.layout.state)
        binary = self._binary or node_binary(self._report)
        images = [pause.archive(self._report)]
        with self._locked():
            record = Record.read(self.layout.record)
            if record is not None and self._healthy(record):
                self._report("the node runs already")
                return
            if record is not None:
                self._report("ending what is left of a node that was not ended in good order")
                teardown(self.layout, record)
            self._start(binary, images)

    def down(self) -> None:
        """Ends the node and removes its state, volumes included; the logs stay.

        Does nothing when there is none.
        """
        prerequisites.complete_path()
        if not self.layout.state.exists():
            return
        with self._locked():
            record = Record.read(self.layout.record)
            if record is not None:
                teardown(self.layout, record)

    def dead_parts(self) -> list[str] | None:
        """The parts that should run and do not; None when there is no node."""
        record = Record.read(self.layout.record)
        return None if record is None else record.dead()

    def running(self) -> Record:
        """What the node consists of.

        Raises:
            HarnessError: there is no node in this folder.
        """
        record = Record.read(self.layout.record)
        if record is None or record.sandbox is None:
            raise HarnessError(
                f"a node must run in {self.layout.state}, but there is none; `make cluster-up` starts it"
            )
        return record

    @property
    def sandbox(self) -> Sandbox:
        """The node's namespaces.

        Raises:
            HarnessError: there is no node.
        """
        sandbox = self.running().sandbox
        if sandbox is None:
            raise HarnessError(f"the node in {self.layout.state} must have been started to its end")
        return sandbox

    @property
    def api(self) -> Api:
        """A client with an administrator's rights."""
        return self._api(self.running())

    def load_images(self, archives: Sequence[Path]) -> None:
        """Gives the node the images of OCI archives, under the names that stand in them."""
        prerequisites.complete_path()
        containerd.load(self.sandbox, archives)

    def volume_folder(self, namespace: str, claim: str) -> Path:
        """The folder of a bound claim, as the machine sees it.

        Raises:
            HarnessError: the claim is not bound, or there is none.
        """
        folder = volumes.folder_of_claim(self.api, self.layout.volumes, namespace, claim)
        if folder is None:
            raise HarnessError(f"the claim {namespace}/{claim} must be bound, which it is once a pod uses it")
        return self.sandbox.path(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.layout.lock):
            yield

    def _healthy(self, record: Record) -> bool:
        return record.complete and not record.dead() and self._api(record).ready()

    def _api(self, record: Record) -> Api:
        return Api.with_certificate(place(record).url, pki.Pki(self.layout.pki), "admin")

    def _start(self, binary: Path, images: Sequence[Path]) -> None:
        began = time.monotonic()
        self._report("starting a node (usually 10 s)")
        for log in self.layout.logs.glob("*.log"):
            log.unlink()
        starting = Startup(self.layout, binary)
        starting.namespaces()
        starting.control_plane()
        starting.runtime(images)
        starting.agents()
        self._report(
            f"the node is ready after {time.monotonic() - began:.1f} s; KUBECONFIG={self.kubeconfig}"
        )
