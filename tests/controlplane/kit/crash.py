"""Kills the operator at one write of a task's life, starts it anew, and tells what became of the task.

The writes are those that pass the proxy. Between two of them an operator writes its history and its mailbox,
in this order (``docs``: history, mailbox, cluster, status), so a kill right *after* a write is one before the
next row, and a kill right *before* a write is one after the row that precedes it: both together come to
stand between any two writes that matter.
"""

from __future__ import annotations

import enum
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from querytask import names
from tests.controlplane.kit.calls import Call
from tests.controlplane.kit.client import Json
from tests.controlplane.kit.faults import Rule, Stale
from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.proxy import Proxy
from tests.controlplane.kit.site import Site
from tests.controlplane.kit.waits import ENDS

CONVERGE_SECONDS = 60.0
STALE_LISTS = 4
"""Tasks, pods, sources and claims: what the first resync lists."""


class Moment(enum.Enum):
    """When the operator is killed, and what the next one sees first."""

    BEFORE = "right before the write reaches the API server"
    AFTER = "right after the write took effect"
    STALE = "right after the write took effect, and the next operator's first lists are old"


@dataclass(frozen=True)
class Scenario:
    """What becomes of a task when nobody disturbs it; ``act`` is done as soon as it is shown as running."""

    name: str
    scene: tuple[str, ...]
    spec: Json = field(default_factory=dict)
    act: Callable[[Site, Json], object] | None = None


@dataclass
class Killer:
    """Kills the process ``pid`` at the write with the index ``index``, and cuts its connections."""

    proxy: Proxy
    index: int
    moment: Moment
    pid: int = 0
    seen: list[str] = field(default_factory=list)
    struck: bool = False

    def before(self, call: Call) -> None:
        """A write is on its way."""
        if call.resource == "leases":
            return
        self.seen.append(str(call))
        if self.moment is Moment.BEFORE and len(self.seen) == self.index + 1:
            self._strike()
            raise ConnectionAbortedError

    def after(self, call: Call) -> None:
        """A write took effect."""
        if (
            call.resource != "leases"
            and self.moment is not Moment.BEFORE
            and len(self.seen) == self.index + 1
        ):
            self._strike()

    def _strike(self) -> None:
        if not self.struck:
            self.struck = True
            self.proxy.cut = True
            os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Run:
    """One run: the end, the writes until the kill or the end, and whether there was a kill."""

    end: dict[str, Any]
    writes: tuple[str, ...]
    killed: bool


def run(site: Site, scenario: Scenario, index: int = -1, moment: Moment = Moment.AFTER) -> Run:
    """Let the scenario happen on a site without an operator, with a kill at the write ``index`` if it is not
    negative; leaves no operator behind."""
    proxy = site.proxy()
    killer = Killer(proxy, index, moment)
    proxy.before, proxy.after = killer.before, killer.after
    operator = site.operator(kubeconfig=proxy.own_kubeconfig)
    killer.pid = operator.process.pid
    task = site.submit(*scenario.scene, **scenario.spec)
    operator = _until_the_end(site, scenario, task, operator, killer)
    end = _end(site, task)
    operator.stop()
    return Run(end, tuple(killer.seen), killer.struck)


def _until_the_end(
    site: Site, scenario: Scenario, task: Json, operator: OperatorProcess, killer: Killer
) -> OperatorProcess:
    deadline, acted, restarted = time.monotonic() + CONVERGE_SECONDS, scenario.act is None, False
    while True:
        if killer.struck and not restarted:
            operator, restarted = _start_anew(site, killer, operator), True
        if not acted and scenario.act is not None and _runs(site, task):
            scenario.act(site, task)
            acted = True
        if acted and _over(site, task):
            return operator
        assert time.monotonic() < deadline, (
            f"{scenario.name} did not converge, killed at {killer.seen}\n{site.story()}"
        )
        site.observer.pause(0.1)


def _start_anew(site: Site, killer: Killer, killed: OperatorProcess) -> OperatorProcess:
    killed.process.wait(10)
    site.delete("leases", names.LEASE_NAME)  # so that nobody has to wait until it has run out
    if killer.moment is not Moment.STALE:
        return site.operator(ready=False)
    killer.proxy.cut = False
    killer.proxy.rule(Rule(lambda call: call.verb == "list", Stale(), times=STALE_LISTS))
    return site.operator(ready=False, kubeconfig=killer.proxy.own_kubeconfig)


def _runs(site: Site, task: Json) -> bool:
    """As the object says: were it the pod, the write that says so would sometimes be skipped."""
    return bool(site.task(task["metadata"]["name"]).get("status", {}).get("phase") == "Running")


def _over(site: Site, task: Json) -> bool:
    """Whether the end is told, to the object if there is one and to the history, and nothing is left."""
    uid = task["metadata"]["uid"]
    if site.observer.pods_of(uid):
        return False
    shown = site.task(task["metadata"]["name"]).get("status", {}).get("phase")
    if site.task(task["metadata"]["name"]) and shown not in ENDS:
        return False
    row = site.history.task(uid)
    return row is not None and row["completed_at"] is not None and (shown is None or row["phase"] == shown)


def _end(site: Site, task: Json) -> dict[str, Any]:
    """What must be the same, whenever the operator was killed."""
    uid, status = task["metadata"]["uid"], site.task(task["metadata"]["name"]).get("status", {})
    row = site.history.task(uid) or {}
    return {
        "phase": status.get("phase"),
        "reason": status.get("reason"),
        "attempt": status.get("attempt"),
        "rows": status.get("result", {}).get("rows"),
        "export": status.get("export", {}).get("state"),
        "step": status.get("cancel", {}).get("step"),
        "row": (row.get("phase"), row.get("reason")),
        "attempts": [(item["attempt"], item["reason"]) for item in site.history.attempts(uid)],
        "exported": (site.history.export(uid) or {}).get("state"),
        "last step": site.history.transitions(uid)[-1:],
        "published": (site.directory(task) / "_manifest.json").exists(),
        "pods": len([name for name, _ in list(site.kubelet.played) if uid in name]),
    }
