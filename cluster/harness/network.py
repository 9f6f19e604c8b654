"""The wire between the machine and a node: a pair of interfaces with a small subnet, and nothing else.

No forwarding, address translation or firewall rule is added to the machine, so pods reach the node and each
other but not the world outside.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass

from cluster.harness.commands import run, succeeds
from cluster.harness.errors import PrerequisiteError
from cluster.harness.sandbox import Sandbox

LINKS = ipaddress.ip_network("10.250.0.0/16")
POD_RANGE = "10.244.0.0/24"
TRIES = 64


@dataclass(frozen=True)
class Link:
    """`interface` is the machine's end; the node's end is called eth0."""

    interface: str
    subnet: str

    @property
    def machine(self) -> str:
        return str(ipaddress.ip_network(self.subnet)[1])

    @property
    def node(self) -> str:
        return str(ipaddress.ip_network(self.subnet)[2])


def plan(identifier: str, used: Iterable[str]) -> Link:
    """Chooses the link of a node by its identifier, and evades subnets that the machine uses already.

    Args:
        identifier: hexadecimal, at most 12 characters.
        used: the machine's addresses with their prefix length.
    """
    taken = [ipaddress.ip_interface(address).network for address in used]
    subnets = 1 << (30 - LINKS.prefixlen)
    first = int(identifier, 16) % subnets
    for index in range(first, first + TRIES):
        start = LINKS.network_address + 4 * (index % subnets)
        subnet = ipaddress.ip_network((start, 30))
        if not any(subnet.overlaps(other) for other in taken):
            return Link(f"qt-{identifier}", str(subnet))
    raise PrerequisiteError(
        f"a subnet of 4 addresses in {LINKS} must be free, but all that were tried are in use"
    )


def machine_addresses() -> list[str]:
    """The machine's IPv4 addresses with their prefix lengths."""
    interfaces = json.loads(run(["ip", "-json", "-4", "address", "show"]))
    return [f"{a['local']}/{a['prefixlen']}" for i in interfaces for a in i["addr_info"] if "local" in a]


def connect(link: Link, sandbox: Sandbox) -> None:
    """Lays the wire and makes the node forward between its pods."""
    end = ["peer", "name", "eth0", "netns", str(sandbox.init.pid)]
    run(["ip", "link", "add", link.interface, "type", "veth", *end])
    run(["ip", "address", "add", f"{link.machine}/30", "dev", link.interface])
    run(["ip", "link", "set", link.interface, "up"])
    script = f"""set -e
        ip address add {link.node}/30 dev eth0
        ip link set eth0 up
        ip link set lo up
        ip route add default via {link.machine}
        echo 1 > /proc/sys/net/ipv4/ip_forward"""
    sandbox.run(["sh", "-c", script])


def disconnect(link: Link) -> None:
    """Takes the wire away.

    The kernel does so too when the namespace ends, but at a time of its own choice.
    """
    if succeeds(["ip", "link", "show", link.interface]):
        succeeds(["ip", "link", "delete", link.interface])
