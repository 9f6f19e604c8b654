"""A Kubernetes of one node, or its control plane alone, from packages and without a container engine.

For `make` (``python3 -m cluster.harness``) and for the test fixtures, which use `ControlPlane` as a context
manager. Only the standard library is imported, so that it runs before anything was installed.
"""

from cluster.harness.controlplane import GARBAGE_COLLECTORS, ControlPlane
from cluster.harness.errors import HarnessError
from cluster.harness.node import Node

__all__ = ["GARBAGE_COLLECTORS", "ControlPlane", "HarnessError", "Node"]
