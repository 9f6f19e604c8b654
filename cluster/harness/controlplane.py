"""An API server with etcd and chosen controllers, without root and nodes, ready in three seconds.

For the control-plane tests and benchmarks: they play the kubelet themselves and may stop and start the API
server. Several can run at once, beside a whole node too. When the process that made one dies, in whatever
way, it ends too.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cluster.harness import parts, pki
from cluster.harness.api import Api
from cluster.harness.binary import node_binary
from cluster.harness.commands import run, tail_of
from cluster.harness.errors import PartError
from cluster.harness.kubeconfig import Endpoint, write_certificate, write_token
from cluster.harness.ports import LOOPBACK, ReservedPort
from cluster.harness.processes import spawn

READY_SECONDS = 60.0

GARBAGE_COLLECTORS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
)


class ControlPlane:
    """etcd, the API server and some controllers of the controller-manager, as child processes.

    Attributes:
        kubeconfig: a file for an administrator.
        url: where the API server listens; the same after it was stopped and started.
        kubectl: the command line's beginning for `kubectl`, with the kubeconfig in it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        controllers: Sequence[str] = GARBAGE_COLLECTORS,
        manifests: Sequence[Path] = (),
        apiserver_flags: Sequence[str] = (),
        controller_flags: Sequence[str] = (),
        binary: Path | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            folder: holds data, keys and logs; it need not exist. Nothing is removed from it.
            controllers: the controllers that run, by the names of `--controllers`; none at all when it is
                empty.
            manifests: files or folders applied before the controllers start. The garbage collector looks for
                new kinds only every 30 s, so custom resource definitions that a test deletes objects of
                belong here.
            apiserver_flags: further flags, such as those of an audit log.
            controller_flags: further flags, such as `--kube-api-qps=2000`.
            binary: the node's program; built if need be when it is None.
        """
        self.folder = folder.resolve()
        self.kubeconfig = self.folder / "kubeconfig"
        self._controllers = tuple(controllers)
        self._manifests = tuple(manifests)
        self._apiserver_flags = tuple(apiserver_flags)
        self._controller_flags = tuple(controller_flags)
        self._binary = binary
        self._pki = pki.Pki(self.folder / "pki")
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, ReservedPort] = {}
        self._resources = contextlib.ExitStack()
        self._api: Api | None = None
        self._lifeline = -1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return self._place.url

    @property
    def kubectl(self) -> list[str]:
        return [str(self._program), "kubectl", f"--kubeconfig={self.kubeconfig}"]

    @property
    def api(self) -> Api:
        """A small client with an administrator's rights."""
        if self._api is None:
            raise PartError("the control plane must be started first")
        return self._api

    def log(self, part: str) -> Path:
        """The log of `etcd`, `apiserver` or `controller-manager`."""
        return self.folder / "logs" / f"{part}.log"

    def start(self) -> None:
        """Starts everything and returns when the API server is ready and the controllers run.

        Raises:
            HarnessError: a part did not come up; the message holds the tail of its log, and nothing is left
                running.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends everything at once. The data is for a test, so nobody is asked to end in good order."""
        for name in ("controller-manager", "apiserver", "etcd"):
            self._kill(name)
        self._resources.close()
        self._ports.clear()

    def stop_apiserver(self, *, graceful: bool = False) -> None:
        """Takes the API server away: connections break and new ones are refused. Its data stays.

        Args:
            graceful: let it finish what it is doing (SIGTERM) instead of killing it.
        """
        server = self._started.get("apiserver")
        if server is not None and graceful:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
        self._kill("apiserver")

    def start_apiserver(self) -> None:
        """Brings the API server back at the same address with the same data, and waits until it is ready."""
        if "apiserver" not in self._started:
            self._spawn("apiserver", self._apiserver_command())
        self._await("apiserver", self.api.ready)

    def stop_controllers(self) -> None:
        """Takes the controllers away; the API server stays."""
        self._kill("controller-manager")

    def start_controllers(self) -> None:
        """Starts the controllers again, and waits until they look after the namespace `default`."""
        if not self._controllers or "controller-manager" in self._started:
            return
        command = parts.controller_manager(
            self._program,
            self.folder / "controller-manager.kubeconfig",
            self._pki,
            [f"--controllers={','.join(self._controllers)}", *self._controller_flags],
        )
        self._spawn("controller-manager", command)
        if "serviceaccount-controller" in self._controllers:
            self._await("controller-manager", self._default_account_exists)

    def service_account_kubeconfig(self, namespace: str, name: str, *, seconds: int = 24 * 3600) -> Path:
        """A kubeconfig with a token of a ServiceAccount that exists; its rights are what RBAC gives it.

        Raises:
            ApiError: there is no such ServiceAccount.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        token: Any = self.api.call("POST", path, request)["status"]["token"]
        file = self.folder / f"{namespace}-{name}.kubeconfig"
        return write_token(file, self._endpoint, token, namespace)

    @property
    def _program(self) -> Path:
        if self._binary is None:
            self._binary = node_binary()
        return self._binary

    @property
    def _place(self) -> parts.ServerPlace:
        return parts.ServerPlace(LOOPBACK, self._port("apiserver"))

    @property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.url, self._pki.authority)

    def _etcd_place(self) -> parts.EtcdPlace:
        return parts.EtcdPlace(self.folder / "etcd", self._port("etcd"), self._port("etcd-peer"))

    def _port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = self._resources.enter_context(ReservedPort())
        return self._ports[name].number

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open_lifeline()
        self._spawn("etcd", parts.etcd(self._program, self._etcd_place()))
        self._pki.make([pki.api_server(), pki.ADMIN, pki.CONTROLLER_MANAGER])
        write_certificate(self.kubeconfig, self._endpoint, self._pki, "admin")
        manager = self.folder / "controller-manager.kubeconfig"
        write_certificate(manager, self._endpoint, self._pki, "controller-manager")
        self._api = Api.with_certificate(self.url, self._pki, "admin")
        self.start_apiserver()
        for manifest in self._manifests:
            run([*self.kubectl, "apply", "--server-side", "-f", str(manifest)])
        self.start_controllers()

    def _open_lifeline(self) -> None:
        reading, writing = os.pipe()
        self._resources.callback(os.close, reading)
        self._resources.callback(os.close, writing)
        self._lifeline = reading

    def _apiserver_command(self) -> list[str]:
        etcd_url = self._etcd_place().url
        return parts.apiserver(self._program, self._place, etcd_url, self._pki, self._apiserver_flags)

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        environment = {"NODE_LIFELINE_FD": str(self._lifeline)}
        self._started[name] = spawn(
            command, self.log(name), pass_fds=[self._lifeline], environment=environment, cwd=self.folder
        )

    def _kill(self, name: str) -> None:
        process = self._started.pop(name, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _default_account_exists(self) -> bool:
        accounts = self.api.call("GET", "/api/v1/namespaces/default/serviceaccounts")["items"]
        return any(account["metadata"]["name"] == "default" for account in accounts)

    def _await(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            code = self._started[name].poll()
            if code is not None:
                raise PartError(f"{name} ended with exit code {code}:\n{tail_of(self.log(name))}")
            if time.monotonic() > deadline:
                raise PartError(
                    f"{name} must be ready within {READY_SECONDS:g} s:\n{tail_of(self.log(name))}"
                )
            time.sleep(0.05)
