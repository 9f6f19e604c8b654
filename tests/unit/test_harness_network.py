"""Two nodes of one machine get different wires, and none takes a subnet that the machine uses."""

import ipaddress

import pytest

from cluster.harness.errors import PrerequisiteError
from cluster.harness.layout import Layout
from cluster.harness.network import Link, plan


def test_a_plan_depends_on_the_identifier_alone():
    """The same state folder gives the same addresses again, so that kubeconfigs stay valid."""
    assert (
        plan("00000001", []) == Link("qt-00000001", "10.250.0.4/30") == plan("00000001", ["192.168.1.7/24"])
    )
    assert (plan("00000001", []).machine, plan("00000001", []).node) == ("10.250.0.5", "10.250.0.6")


def test_subnets_in_use_are_evaded():
    """A larger network of the machine covers several subnets: the next free one is taken."""
    link = plan("00000001", ["10.250.0.5/30", "10.250.0.9/29"])
    assert link.subnet == "10.250.0.16/30"


def test_the_last_subnet_is_followed_by_the_first():
    """Looking for a free one never leaves the range."""
    assert plan("00003fff", ["10.250.255.253/30"]).subnet == "10.250.0.0/30"


def test_no_free_subnet_is_one_sentence():
    """Where the machine uses the whole range, the message says so."""
    with pytest.raises(PrerequisiteError, match=r"10\.250\.0\.0/16 must be free"):
        plan("00000001", ["10.250.0.1/16"])


def test_names_fit_the_kernel(tmp_path):
    """An interface's name has at most 15 characters, however long the folder's is."""
    layout = Layout(tmp_path / ("x" * 200))
    link = plan(layout.identifier, [])
    assert len(link.interface) <= 15
    assert ipaddress.ip_address(link.node) in ipaddress.ip_network("10.250.0.0/16")
    assert layout.identifier != Layout(tmp_path).identifier
