"""QueryTasks as a user writes them, with small resources, so that several run on one small node."""

from __future__ import annotations

from typing import Any

from querytask.names import API_VERSION, TASK_KIND

SMALL = {"cpu": "250m", "memory": "256Mi", "spill": "64Mi"}
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE (a.range + b.range) % 7 = 3"
"""Runs for days, and stops at once when it is interrupted."""
BUSY = "SELECT count(*) AS rows, max(hash(a.range + b.range)) AS last FROM range(60000) a, range(1000) b"
"""Runs for a second or more with ``SMALL`` resources: some of several are still at it when one has ended."""
LONG = "SELECT count(*) AS rows, max(hash(a.range + b.range)) AS last FROM range(300000) a, range(1000) b"
"""Five times as long: time enough for somebody with kubectl to disturb it."""


def task(name: str, sql: str, **spec: Any) -> dict[str, Any]:
    """A QueryTask; ``spec`` holds what is not as usual here."""
    return {
        "apiVersion": API_VERSION,
        "kind": TASK_KIND,
        "metadata": {"name": name},
        "spec": {"sql": sql, "resources": SMALL, "timeout": "5m"} | spec,
    }
