"""containerd's configuration and the network of the pods; both are read inside the node's sandbox."""

import json
from collections.abc import Sequence
from pathlib import Path

from cluster.harness.network import POD_RANGE
from cluster.harness.sandbox import Sandbox

SOCKET = "/run/containerd/containerd.sock"
PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
NEEDED_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
CTR = ("ctr", "--namespace", "k8s.io")


def plugin_folder() -> str | None:
    """Where the machine keeps the CNI plugins; None when it has not all that are needed."""
    for folder in PLUGIN_FOLDERS:
        if all((Path(folder) / plugin).exists() for plugin in NEEDED_PLUGINS):
            return folder
    return None


def configuration(plugins: str, network: Path, pause: str, snapshotter: str) -> str:
    """The text of config.toml.

    Without `restrict_oom_score_adj` no pod starts where CAP_SYS_RESOURCE is missing.
    """
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{network}"
"""


def pod_network() -> str:
    """The text of the CNI configuration: a bridge in the node's network namespace."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}, indent=2)


def snapshotter(sandbox: Sandbox, scratch: Path) -> str:
    """`overlayfs`, or the slower `native` where the state lies on an overlay itself, as in a container."""
    script = """set -e
        cd "$1" && mkdir -p lower upper work merged
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
        umount merged"""
    try:
        sandbox.run(["sh", "-c", script, "sh", str(scratch)])
    except Exception:
        return "native"
    return "overlayfs"


def load(sandbox: Sandbox, archives: Sequence[Path]) -> None:
    """Makes the images of OCI archives known to the node, under the names that stand in the archives."""
    for archive in archives:
        sandbox.run([*CTR, "images", "import", str(archive.resolve())])


def images(sandbox: Sandbox) -> list[str]:
    """The names of the images that the node has."""
    return sorted(sandbox.run([*CTR, "images", "list", "--quiet"]).split())
