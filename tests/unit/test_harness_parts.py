"""The command lines hold what the rest relies on."""

from pathlib import Path

from cluster.harness import parts
from cluster.harness.pki import Pki

BINARY = Path("/opt/node")
PKI = Pki(Path("/pki"))
PLACE = parts.ServerPlace("10.250.0.2", 6443)


def test_the_scheduler_is_alone_and_listens_nowhere():
    """One of each: nobody to elect a leader with, and no port that could be taken."""
    assert parts.scheduler(BINARY, Path("/k")) == [
        *("/opt/node", "scheduler", "--kubeconfig=/k", "--leader-elect=false", "--secure-port=0")
    ]


def test_the_api_server_authorizes_and_its_port_can_be_held_for_it():
    """RBAC is on, a kubelet may touch only its own objects, and a port is shared with who holds it."""
    command = parts.apiserver(BINARY, PLACE, "http://e", PKI, ["--audit-log-path=/a"])
    assert {
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--permit-port-sharing",
        "--secure-port=6443",
        "--audit-log-path=/a",
    } <= set(command)
    assert not [flag for flag in command if "anonymous" in flag or "AlwaysAllow" in flag]


def test_each_controller_has_rights_of_its_own():
    """The controllers act as ServiceAccounts, as in a cluster that somebody set up with care."""
    command = parts.controller_manager(BINARY, Path("/k"), PKI, ["--controllers=a,b"])
    assert {"--use-service-account-credentials", "--controllers=a,b"} <= set(command)


def test_the_proxy_leaves_the_machine_alone():
    """Conntrack limits are not part of a network namespace: zero is `do not touch`."""
    command = parts.proxy(BINARY, Path("/k"), "node", "10.244.0.0/24")
    assert len([flag for flag in command if flag.startswith("--conntrack") and flag.endswith("=0")]) == 3


def test_urls_name_the_place():
    """What other parts are told is where a part listens."""
    etcd = parts.EtcdPlace(Path("/d"), 11, 12)
    assert (etcd.url, PLACE.url) == ("http://127.0.0.1:11", "https://10.250.0.2:6443")
    assert "--listen-client-urls=http://127.0.0.1:11" in parts.etcd(BINARY, etcd)
