"""One installation in a namespace of its own: what the chart brings, the two volumes, a scripted kubelet, an
observer, and as many operator processes as a test wants to start, kill and start again."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.harness import ControlPlane
from cluster.harness.errors import ApiError
from querytask import names
from querytask.names import Phase
from querytask.settings import variable
from tests.controlplane.kit import script
from tests.controlplane.kit.chart import RELEASE, Chart
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.history import History
from tests.controlplane.kit.kubelet import Kubelet
from tests.controlplane.kit.loop import LoopThread
from tests.controlplane.kit.observer import Observer
from tests.controlplane.kit.operator import OperatorProcess
from tests.controlplane.kit.proxy import Proxy
from tests.controlplane.kit.waiting import until
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
ENDS = tuple(sorted(names.TERMINAL_PHASES))
TIMEOUT = 20.0


@dataclass
class Site:
    """See the module; ``folder`` holds the volumes and the logs."""

    plane: ControlPlane
    loop: LoopThread
    chart: Chart
    namespace: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    zygote: Zygote | None = None
    """Where operators are forked; without one they are executed."""
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
        self.history = History(self.history_dir)
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
        values = here | SHORT_CLOCKS | self.settings | overrides
        texts = {variable(name): _text(value) for name, value in values.items()}
        return self.chart.environment() | texts | {"KUBECONFIG": str(kubeconfig or self.kubeconfig)}

    def proxy(self) -> Proxy:
        """A proxy to the API server; ``kubeconfig=proxy.own_kubeconfig`` sends an operator through it."""
        found = self.loop.run(Proxy(self.kubeconfig).open())
        self._proxies.append(found)
        return found

    # objects

    def submit(self, *scenes: str, name: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Json:
        """Create a task whose pods play ``scenes``; the object as the server has it."""
        fields = {"sql": script.sql(*scenes) if scenes else "SELECT 1"} | spec
        metadata: Json = {"name": name or f"task-{next(self.numbers)}"} | (
            {"labels": labels} if labels else {}
        )
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.TASK_KIND,
            "metadata": metadata,
            "spec": fields,
        }
        return self.plane.api.call("POST", self.path(names.TASK_PLURAL), body)

    def source(self, name: str, claim: str) -> Json:
        """Create a QuerySource on a claim."""
        spec = {"volume": {"claimName": claim}}
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.SOURCE_KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        return self.plane.api.call("POST", self.path(names.SOURCE_PLURAL), body)

    def claim(self, name: str) -> Json:
        """Create a PersistentVolumeClaim."""
        resources = {"requests": {"storage": "1Gi"}}
        body = {
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteMany"], "resources": resources},
        }
        return self.plane.api.call("POST", self.path("persistentvolumeclaims"), body)

    def cancel(self, name: str, reason: str = "") -> Json:
        """Ask for a task's cancellation."""
        body: Json = {"spec": {"cancel": True}}
        if reason:
            body["metadata"] = {"annotations": {names.CANCEL_REASON_ANNOTATION: reason}}
        return self.patch(names.TASK_PLURAL, name, body)

    def patch(self, plural: str, name: str, body: Json) -> Json:
        """Merge ``body`` into an object."""
        return self.plane.api.call("PATCH", self.path(plural, name), body)

    def delete(self, plural: str, name: str, **options: Any) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            self.plane.api.call("DELETE", self.path(plural, name), options or None)
        except ApiError as error:
            if error.status != 404:
                raise

    def get(self, plural: str, name: str) -> Json | None:
        """An object as it is now."""
        try:
            return self.plane.api.call("GET", self.path(plural, name))
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def path(self, plural: str, name: str = "") -> str:
        """Where objects of a kind are."""
        custom = plural in (names.TASK_PLURAL, names.SOURCE_PLURAL)
        root = f"/apis/{names.API_VERSION}" if custom else _ROOTS.get(plural, "/api/v1")
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    # waiting

    def task(self, name: str) -> Json:
        """A task as the observer has it; empty when it is not there."""
        return self.observer.tasks.get(name, {})

    def reaches(
        self,
        name: str,
        *phases: str,
        reason: str | None = None,
        attempt: int | None = None,
        timeout: float = TIMEOUT,
    ) -> Json:
        """Wait until a task is in one of ``phases`` (in any end, where none is named)."""
        wanted = phases or ENDS

        def look() -> Json | None:
            status = self.task(name).get("status", {})
            fits = status.get("phase") in wanted and reason in (None, status.get("reason"))
            return self.task(name) if fits and attempt in (None, status.get("attempt")) else None

        what = f"{name} is {' or '.join(wanted)}" + (f", {reason}" if reason else "")
        found = self.observer.wait(look, timeout, what=what, told=self.story)
        assert found is not None
        return found

    def ends(self, name: str, phase: str, reason: str, *, timeout: float = TIMEOUT) -> Json:
        """Wait until a task has its end, and demand that it is this one; its status."""
        status: Json = self.reaches(name, timeout=timeout)["status"]
        assert (status["phase"], status["reason"]) == (phase, reason), (
            f"{status['phase']}, {status['reason']}: {status.get('message')}\n{self.story()}"
        )
        return status

    def succeeds(self, name: str, *, timeout: float = TIMEOUT) -> Json:
        """Wait until a task has succeeded."""
        return self.ends(name, Phase.SUCCEEDED, "Completed", timeout=timeout)

    def sees(self, look: Any, what: str, *, timeout: float = TIMEOUT) -> Any:
        """Wait until ``look`` is true, asking at every event about tasks and pods."""
        return self.observer.wait(look, timeout, what=what, told=self.story)

    def pod_of(self, task: Json, attempt: int = 1, *, node: bool = True) -> Json:
        """Wait for an attempt's pod, with its node."""
        name = names.pod_name(task["metadata"]["uid"], attempt)

        def look() -> Json | None:
            pod = self.observer.pods.get(name)
            return pod if pod is not None and (pod["spec"].get("nodeName") or not node) else None

        found = self.sees(look, f"pod {name} is there")
        assert isinstance(found, dict)
        return found

    def no_pods(self, task: Json) -> None:
        """Wait until no pod of a task is left."""
        uid = task["metadata"]["uid"]
        self.sees(lambda: not self.observer.pods_of(uid), f"no pod of {task['metadata']['name']} is left")

    def gone(self, task: Json) -> None:
        """Wait until a task's object was seen, and is gone."""
        name, uid = task["metadata"]["name"], task["metadata"]["uid"]

        def look() -> bool:
            there = self.observer.tasks.get(name, {}).get("metadata", {}).get("uid") == uid
            return uid in self.observer.versions and not there

        self.sees(look, f"the object {name} is gone")

    def row(self, task: Json, phase: str, *, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Wait until the history has a task in ``phase``; its row."""
        uid = task["metadata"]["uid"]

        def look() -> dict[str, Any] | None:
            found = self.history.task(uid)
            return found if found is not None and found["phase"] == phase else None

        found = until(look, timeout, what=f"the history has {phase}", told=self.story)
        assert found is not None
        return found

    # the exports volume

    def directory(self, task: Json) -> Path:
        """A task's directory."""
        return self.exports / self.namespace / str(task["metadata"]["uid"])

    def story(self) -> str:
        """What happened, and how the last operator's log ends."""
        return "\n".join((self.observer.story(), *(operator.story() for operator in self.operators[-1:])))

    @contextmanager
    def expecting(self, patterns: Sequence[str]) -> Iterator[None]:
        """Lines of the log that fit ``patterns`` are no fault: for a test that shares its operator."""
        yield
        for operator in self.operators:
            operator.allowed.extend(patterns)

    def _kubeconfig(self) -> Path:
        made = self.plane.service_account_kubeconfig(self.namespace, RELEASE)
        return made.rename(self.folder / "kubeconfig")


_ROOTS = {"leases": "/apis/coordination.k8s.io/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1"}


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value)
