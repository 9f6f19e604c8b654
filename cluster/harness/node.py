"""A whole Kubernetes of one node: starts it, tells how it is, and ends it without a trace.

All state is in one folder, so every command finds the node that an earlier one started. Two nodes with
different folders run side by side.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.harness import (
    cgroups,
    containerd,
    kubelet,
    mountpoints,
    network,
    parts,
    pause,
    pki,
    prerequisites,
    volumes,
)
from cluster.harness.api import Api
from cluster.harness.binary import Say, locked, node_binary, say
from cluster.harness.commands import tail_of
from cluster.harness.errors import ApiError, HarnessError, PartError
from cluster.harness.kubeconfig import Endpoint, write_certificate
from cluster.harness.layout import DEFAULT_STATE, REPOSITORY, Layout
from cluster.harness.processes import daemon
from cluster.harness.record import Record
from cluster.harness.sandbox import PRIVATE_FOLDERS, Sandbox
from cluster.harness.teardown import teardown

READY_SECONDS = 90.0
PORT = 6443
IDENTITIES = (pki.ADMIN, pki.CONTROLLER_MANAGER, pki.SCHEDULER, pki.PROXY)


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


def place(record: Record) -> parts.ServerPlace:
    """Where the node's API server listens."""
    return parts.ServerPlace(record.link.node, PORT)


class Startup:
    """The steps of one start, in their order; each notes what it makes before it makes it."""

    def __init__(self, layout: Layout, binary: Path) -> None:
        self._layout = layout
        self._binary = binary
        self._pki = pki.Pki(layout.pki)
        link = network.plan(layout.identifier, network.machine_addresses())
        self._record = Record(link, cgroup=f"querytask-{layout.identifier}", binary=str(binary))

    def namespaces(self) -> None:
        """The empty node: namespaces, control group, wire, folders of volumes."""
        self._note()
        cgroups.create(self._record.cgroup)
        self._sandbox = Sandbox.create(self._binary, self._log("init"))
        self._record.sandbox = self._sandbox
        self._note()
        with mountpoints.machine_lock():
            self._record.folders = mountpoints.make(PRIVATE_FOLDERS)
            self._note()
            self._sandbox.mount_private_folders(self._layout.state)
        network.connect(self._record.link, self._sandbox)
        volumes.make_folders(self._layout.volumes, self._sandbox)

    def control_plane(self) -> None:
        """etcd and the API server are started; nothing waits for them yet."""
        link = self._record.link
        etcd = parts.EtcdPlace(self._layout.folder("etcd"), 2379, 2380)
        self._begin("etcd", parts.etcd(self._binary, etcd))
        self._pki.make(
            [pki.api_server(link.node, parts.SERVICE_ADDRESS), kubelet.identity(link.node), *IDENTITIES]
        )
        flags = parts.kubelet_client_flags(self._pki)
        self._begin(
            "apiserver", parts.apiserver(self._binary, place(self._record), etcd.url, self._pki, flags)
        )
        endpoint = Endpoint(place(self._record).url, self._pki.authority)
        write_certificate(self._layout.kubeconfig, endpoint, self._pki, "admin")
        for name in ("controller-manager", "scheduler", "proxy", "kubelet"):
            write_certificate(self._kubeconfig(name), endpoint, self._pki, name)

    def runtime(self, images: Sequence[Path]) -> None:
        """containerd, with the images that are there before the first pod."""
        config = self._layout.state / "containerd.toml"
        cni = self._layout.folder("cni")
        (cni / "10-pods.conflist").write_text(containerd.pod_network())
        snapshotter = containerd.snapshotter(self._sandbox, self._layout.folder("overlay-probe"))
        plugins = containerd.plugin_folder() or containerd.PLUGIN_FOLDERS[0]
        config.write_text(containerd.configuration(plugins, cni, pause.IMAGE, snapshotter))
        self._begin("containerd", ["containerd", f"--config={config}"])
        socket = self._sandbox.path(Path(containerd.SOCKET))
        self._await("containerd", socket.exists)
        containerd.load(self._sandbox, images)

    def agents(self) -> None:
        """Everything that talks to the API server, and the volumes; returns when pods can run."""
        api = Api.with_certificate(place(self._record).url, self._pki, "admin")
        self._await("apiserver", api.ready)
        manager = parts.controller_manager(self._binary, self._kubeconfig("controller-manager"), self._pki)
        self._begin("controller-manager", manager)
        self._begin("scheduler", parts.scheduler(self._binary, self._kubeconfig("scheduler")))
        self._begin("kubelet", self._kubelet())
        proxy = parts.proxy(self._binary, self._kubeconfig("proxy"), kubelet.NODE, network.POD_RANGE)
        self._begin("proxy", proxy)
        volumes.publish(api, self._layout.volumes)
        harness = ["env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "cluster.harness"]
        self._begin("volumes", [*harness, f"--state={self._layout.state}", "recycle-volumes"])
        self._await("kubelet", lambda: node_ready(api))
        self._await("controller-manager", lambda: default_account_exists(api))
        for name in self._record.dead():
            raise PartError(f"{name} ended:\n{tail_of(self._log(name))}")
        self._record.complete = True
        self._note()

    def _kubelet(self) -> list[str]:
        resolver = self._layout.state / "resolv.conf"
        resolver.write_text(f"nameserver {parts.CLUSTER_DNS}\n")
        config = self._layout.state / "kubelet.json"
        files = kubelet.KubeletFiles(self._pki, resolver, self._record.cgroup)
        config.write_text(kubelet.configuration(files))
        address = self._record.link.node
        return parts.kubelet(self._binary, self._kubeconfig("kubelet"), config, kubelet.NODE, address)

    def _kubeconfig(self, name: str) -> Path:
        return self._layout.folder("kubeconfigs") / name

    def _log(self, part: str) -> Path:
        return self._layout.logs / f"{part}.log"

    def _note(self) -> None:
        self._record.write(self._layout.record)

    def _begin(self, name: str, command: Sequence[str]) -> None:
        self._record.parts[name] = daemon(self._sandbox.enter(command), self._log(name))
        self._note()

    def _await(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            if not self._record.parts[name].alive():
                raise PartError(f"{name} ended before it was ready:\n{tail_of(self._log(name))}")
            if time.monotonic() > deadline:
                raise PartError(
                    f"{name} must be ready within {READY_SECONDS:g} s:\n{tail_of(self._log(name))}"
                )
            time.sleep(0.05)


def node_ready(api: Api) -> bool:
    """Whether the kubelet has said that pods can run."""
    try:
        conditions = api.call("GET", f"/api/v1/nodes/{kubelet.NODE}")["status"].get("conditions", [])
    except ApiError:
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def default_account_exists(api: Api) -> bool:
    """Whether a pod can be created in the namespace `default`: it needs its ServiceAccount."""
    try:
        api.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    except ApiError:
        return False
    return True
