"""The kubelet's configuration."""

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.harness.containerd import SOCKET
from cluster.harness.parts import CLUSTER_DNS
from cluster.harness.pki import Identity, Pki

NODE = "node"


@dataclass(frozen=True)
class KubeletFiles:
    """What the kubelet reads."""

    pki: Pki
    resolver: Path
    cgroup: str


def identity(address: str) -> Identity:
    """Whom the kubelet is to the API server, and who answers when that asks for logs."""
    return Identity("kubelet", f"system:node:{NODE}", ("system:nodes",), (NODE, address))


def configuration(files: KubeletFiles) -> str:
    """The text of the configuration file.

    Images are never collected, because there is no registry to get them from again, and the node gives way to
    a full disk only at the very last: it is the user's own machine.
    """
    authentication = {
        "x509": {"clientCAFile": str(files.pki.authority)},
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
    }
    content = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": authentication,
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(files.pki.certificate("kubelet")),
        "tlsPrivateKeyFile": str(files.pki.key("kubelet")),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{files.cgroup}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(files.resolver),
        "serializeImagePulls": False,
        "maxPods": 250,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
    return json.dumps(content, indent=2)
