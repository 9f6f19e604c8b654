"""The command lines of the cluster's parts, as pure functions: each flag is in one place, for tests too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.pki import Pki

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
CLUSTER_DNS = "10.96.0.10"


@dataclass(frozen=True)
class EtcdPlace:
    """Where etcd listens and keeps its data."""

    data: Path
    client_port: int
    peer_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.client_port}"


@dataclass(frozen=True)
class ServerPlace:
    """Where the API server listens. `address` is what other parts of the cluster call it by."""

    address: str
    port: int

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"


def etcd(binary: Path, place: EtcdPlace) -> list[str]:
    """Without fsync: the data is for a test and does not outlive `down`.

    Ports are shared with who reserved them.
    """
    peer = f"http://127.0.0.1:{place.peer_port}"
    return [
        str(binary),
        "etcd",
        f"--data-dir={place.data}",
        f"--listen-client-urls={place.url}",
        f"--advertise-client-urls={place.url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--socket-reuse-port",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(
    binary: Path, place: ServerPlace, etcd_url: str, pki: Pki, extra: Sequence[str] = ()
) -> list[str]:
    """RBAC is on, and the admission plugins are Kubernetes' defaults and NodeRestriction."""
    return [
        str(binary),
        "apiserver",
        f"--etcd-servers={etcd_url}",
        f"--bind-address={place.address}",
        f"--secure-port={place.port}",
        "--permit-port-sharing",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.authority}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.token_public_key}",
        f"--service-account-signing-key-file={pki.token_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        *extra,
    ]


def kubelet_client_flags(pki: Pki) -> list[str]:
    """How the API server reaches a kubelet for logs, exec and port-forward."""
    return [
        f"--kubelet-client-certificate={pki.certificate('admin')}",
        f"--kubelet-client-key={pki.key('admin')}",
        f"--kubelet-certificate-authority={pki.authority}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def controller_manager(binary: Path, kubeconfig: Path, pki: Pki, extra: Sequence[str] = ()) -> list[str]:
    """All controllers, unless a flag in `extra` says which."""
    return [
        str(binary),
        "controller-manager",
        f"--kubeconfig={kubeconfig}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={pki.token_key}",
        f"--root-ca-file={pki.authority}",
        "--leader-elect=false",
        "--secure-port=0",
        *extra,
    ]


def scheduler(binary: Path, kubeconfig: Path) -> list[str]:
    return [str(binary), "scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]


def proxy(binary: Path, kubeconfig: Path, node: str, pod_range: str) -> list[str]:
    """The conntrack limits belong to the whole machine: zero leaves them alone."""
    return [
        str(binary),
        "proxy",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node}",
        f"--cluster-cidr={pod_range}",
        "--proxy-mode=iptables",
        "--iptables-min-sync-period=100ms",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]


def kubelet(binary: Path, kubeconfig: Path, config: Path, node: str, address: str) -> list[str]:
    return [
        str(binary),
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node}",
        f"--node-ip={address}",
    ]
