"""The start of a node, step by step; each notes what it makes, so that half a start can be ended too."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.harness import cgroups, containerd, kubelet, mountpoints, network, parts, pause, pki, volumes
from cluster.harness.api import Api
from cluster.harness.commands import tail_of
from cluster.harness.errors import ApiError, PartError
from cluster.harness.kubeconfig import Endpoint, write_certificate
from cluster.harness.layout import REPOSITORY, Layout
from cluster.harness.processes import daemon
from cluster.harness.record import Record
from cluster.harness.sandbox import PRIVATE_FOLDERS, Sandbox

READY_SECONDS = 90.0
PORT = 6443
IDENTITIES = (pki.ADMIN, pki.CONTROLLER_MANAGER, pki.SCHEDULER, pki.PROXY)


def place(record: Record) -> parts.ServerPlace:
    """Where the node's API server listens."""
    return parts.ServerPlace(record.link.node, PORT)


class Startup:
    """The steps of one start, in the order of the methods."""

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
