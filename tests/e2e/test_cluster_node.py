"""The embedded node is a real Kubernetes in every respect that the operator relies on."""

import json
import urllib.request
from collections.abc import Iterator

import pytest

from cluster.harness import Node
from tests.e2e.nodes import (
    EMBEDDED,
    Kubectl,
    claim,
    enforce_restricted,
    eventually,
    pod,
    python,
    worker_image,
)

pytestmark = pytest.mark.skipif(not EMBEDDED, reason="another cluster was chosen with CLUSTER")

WRITE_AND_LINK = """
import os
with open("/data/file", "w") as file:
    file.write("written")
    os.fsync(file.fileno())
os.link("/data/file", "/data/link")
owner = os.stat("/data")
print(os.getuid(), owner.st_gid, open("/data/link").read())
"""
ASK_THE_API_SERVER = """
import os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
context = ssl.create_default_context(cafile=folder + "ca.crt")
headers = {"Authorization": "Bearer " + open(folder + "token").read()}
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(f"https://{host}:{port}/version", headers=headers)
print(urllib.request.urlopen(request, context=context).read().decode())
"""
FILL = """
try:
    with open("/data/big", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()
except OSError as error:
    print(error.errno)
"""
SERVE = (
    "import http.server as s; s.ThreadingHTTPServer(('', 8080), s.SimpleHTTPRequestHandler).serve_forever()"
)
EAT = "data = []\nwhile True: data.append(bytearray(1 << 20))"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("state") / "node")
    try:
        made.up()
        made.load_images([worker_image().archive])
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def kubectl(node: Node) -> Kubectl:
    made = Kubectl(node)
    enforce_restricted(made)
    return made


def finished(kubectl: Kubectl, name: str, phase: str = "Succeeded") -> str:
    """Waits for a pod's end; returns its log."""
    eventually(lambda: kubectl.phase(name) in ("Succeeded", "Failed"), f"the end of the pod {name}")
    log = kubectl("logs", name)
    assert kubectl.phase(name) == phase, log
    return log


def test_a_restricted_pod_writes_through_a_sub_path(kubectl: Kubectl):
    """A volume belongs to `fsGroup`, also where a pod sees only a folder of it; links and fsync work."""
    mounts = {"/data": ("exports", "tasks/one")}
    kubectl.apply(claim("exports", "1Gi", "ReadWriteMany"), pod("writer", python(WRITE_AND_LINK), mounts))
    assert finished(kubectl, "writer") == "65532 65532 written\n"


def test_the_machine_sees_what_a_pod_wrote(kubectl: Kubectl, node: Node):
    """`volume-folder` leads to the files, for tests and the demo."""
    mounts = {"/data": ("seen", "")}
    kubectl.apply(claim("seen", "1Gi", "ReadWriteOnce"), pod("seen-writer", python(WRITE_AND_LINK), mounts))
    finished(kubectl, "seen-writer")
    assert (node.volume_folder("default", "seen") / "file").read_text() == "written"


def test_a_pod_reaches_the_api_server(kubectl: Kubectl):
    """Through the Service, with the certificate and the token that every pod gets."""
    kubectl.apply(pod("asker", python(ASK_THE_API_SERVER)))
    assert json.loads(finished(kubectl, "asker"))["major"] == "1"


def test_a_pod_over_its_memory_is_killed_and_says_so(kubectl: Kubectl):
    """The reason `OOMKilled` is what the operator tells users."""
    kubectl.apply(pod("eater", python(EAT, memory="64Mi")))
    finished(kubectl, "eater", "Failed")
    [container] = kubectl.get("pod", "eater")["status"]["containerStatuses"]
    assert (container["state"]["terminated"]["reason"], container["state"]["terminated"]["exitCode"]) == (
        "OOMKilled",
        137,
    )


def test_a_small_volume_becomes_full_and_comes_back_clean(kubectl: Kubectl, node: Node):
    """The kernel says ENOSPC; when the claim is gone, the next one finds an empty volume."""
    mounts = {"/data": ("small", "")}
    kubectl.apply(
        claim("small", "32Mi", "ReadWriteOnce", "querytask-small"), pod("filler", python(FILL), mounts)
    )
    assert finished(kubectl, "filler") == "28\n"
    volume = kubectl.get("pvc", "small")["spec"]["volumeName"]
    folder = node.volume_folder("default", "small")
    assert (folder / "big").stat().st_size > 32 << 20
    kubectl("delete", "pod", "filler")
    kubectl("delete", "pvc", "small")
    eventually(lambda: kubectl.get("pv", volume)["status"]["phase"] == "Available", "the volume's return")
    assert list(folder.iterdir()) == []


def test_logs_exec_and_port_forward_work(kubectl: Kubectl):
    """People use them, and the documentation says how a result is fetched with them."""
    kubectl.apply(pod("server", python("print('up', flush=True)\n" + SERVE)))
    eventually(lambda: kubectl.phase("server") == "Running", "the pod's start")
    eventually(lambda: kubectl("logs", "server") == "up\n", "the first line of the log")
    assert kubectl("exec", "server", "--", "python3", "-c", "print(6 * 7)") == "42\n"
    forward = kubectl.start("port-forward", "pod/server", ":8080")
    assert forward.stdout is not None
    try:
        port = forward.stdout.readline().split()[2].rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert answer.status == 200
    finally:
        forward.kill()
        forward.wait()
        forward.stdout.close()
