"""One installation in a namespace of its own: what the chart brings, the two volumes, a scripted kubelet, an
observer, and as many operator processes as a test wants to start, kill and start again."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.harness import ControlPlane
from querytask import names
from querytask.settings import variable
from tests.controlplane.kit.chart import RELEASE, Chart
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.history import DatabaseHistory, History
from tests.controlplane.kit.kubelet import Kubelet
from tests.controlplane.kit.loop import LoopThread
from tests.controlplane.kit.objects import Objects
from tests.controlplane.kit.observer import Observer
from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.proxy import Proxy
from tests.controlplane.kit.waiting import until
from tests.controlplane.kit.waits import Waits
from tests.controlplane.kit.zygote import Zygote

SHORT_CLOCKS: dict[str, Any] = {
    "resync_seconds": 2,
    "start_deadline_seconds": 3,
    "stop_grace_seconds": 3,
    "timeout_margin_seconds": 1,
    "progress_seconds": 0.5,
    "finished_scan_seconds": 2,
    "collect_seconds": 1,
    "lease_seconds": 3,
    "keep_finished_pods": "None",
}
"""Settings of every operator here unless a test says otherwise: the clocks that tests wait for."""


@dataclass
class Site(Objects, Waits):
    """See the module; ``folder`` holds the volumes and the logs."""

    plane: ControlPlane
    loop: LoopThread
    chart: Chart
    namespace: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    zygote: Zygote | None = None
    """Where operators are forked; without one they are executed."""
    database: str = ""
    """The URL of the history, where it is no file."""
    operators: list[OperatorProcess] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    """Patterns of log lines that this test expects, beside those that are always allowed."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _proxies: list[Proxy] = field(default_factory=list)
    _running: list[asyncio.Task[Any]] = field(default_factory=list)

    # set up, and taken down

    def open(self) -> Site:
        """Install, and start kubelet and observer."""
        self.exports, self.history_dir = self.folder / "exports", self.folder / "history"
        for directory in (self.exports, self.history_dir):
            directory.mkdir(parents=True, exist_ok=True)
        self.chart.install(self.plane.api, self.namespace)
        self.kubeconfig = self._kubeconfig()
        self.client = Client.admin(self.plane)
        self.kubelet = Kubelet(self.client, self.namespace, self.exports)
        self.observer = Observer(self.client, self.namespace, self.exports)
        self.history = DatabaseHistory(self.database) if self.database else History(self.history_dir)
        self._running = [self.loop.start(self.kubelet.run()), self.loop.start(self.observer.run())]
        return self

    def close(self) -> None:
        """End everything; a part that ended before its time fails the test."""
        for operator in self.operators:
            if operator.alive:
                operator.stop()
        for proxy in self._proxies:
            self.loop.run(proxy.close())
        self.loop.end(*self._running)
        self.loop.run(self.client.close())

    def check(self) -> None:
        """Fail when an invariant was violated, a play went wrong, or a log holds what nobody expects."""
        violations = [*self.observer.violations]
        self.observer.violations.clear()
        faults = [f"the scripted kubelet: {fault!r}" for fault in self.kubelet.faults]
        self.kubelet.faults.clear()
        logged = [line for operator in self.operators for line in operator.unexpected()]
        found = violations + faults + logged
        assert not found, "\n".join((*found, "", self.observer.story()))

    # tasks

    def submit_again(self, name: str, *scenes: str) -> Json:
        """Another task of that name, once the object of the old one has gone."""
        made = until(lambda: None if self.get(names.TASK_PLURAL, name) else self.submit(*scenes, name=name))
        assert made is not None
        return made

    # operators

    def operator(
        self, *, ready: bool = True, kubeconfig: Path | None = None, **overrides: Any
    ) -> OperatorProcess:
        """A new operator process; with ``ready`` it comes back when it is ready."""
        environment = self.environment(kubeconfig=kubeconfig, **overrides)
        log = self.folder / f"operator-{next(self.numbers)}.log"
        operator = OperatorProcess(environment, log, self.allowed, zygote=self.zygote)
        self.operators.append(operator)
        return operator.wait_ready() if ready else operator

    def environment(self, *, kubeconfig: Path | None = None, **overrides: Any) -> dict[str, str]:
        """The environment of an operator: the chart's, this machine's paths, short clocks, ``overrides``."""
        here = {
            "namespace": self.namespace,
            "pod_name": f"{RELEASE}-0",
            "history_dir": self.history_dir,
            "exports_dir": self.exports,
            "exports_access_mode": "ReadWriteMany",
            "port": 0,
        }
        here |= {"history_url": self.database} if self.database else {}
        values = here | SHORT_CLOCKS | self.settings | overrides
        texts = {variable(name): _text(value) for name, value in values.items()}
        return self.chart.environment() | texts | {"KUBECONFIG": str(kubeconfig or self.kubeconfig)}

    def proxy(self) -> Proxy:
        """A proxy to the API server; ``kubeconfig=proxy.own_kubeconfig`` sends an operator through it."""
        found = self.loop.run(Proxy(self.kubeconfig).open())
        self._proxies.append(found)
        return found

    def _kubeconfig(self) -> Path:
        made = self.plane.service_account_kubeconfig(self.namespace, RELEASE)
        return made.rename(self.folder / "kubeconfig")


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value)
