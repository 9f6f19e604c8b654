"""A control plane without nodes for benchmarks, and in it installations with an operator process of their
own.

The operator gets what its chart gives it and default settings, but for what a benchmark states. Kubelets are
scripted (``pods``); they, the API server, etcd, the controllers and the measuring program share this
machine's cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.harness import GARBAGE_COLLECTORS, ControlPlane
from querytask import names
from querytask.settings import Settings, read, variable
from tests.controlplane.kit import script
from tests.controlplane.kit.chart import RELEASE, Chart
from tests.controlplane.kit.client import Client, Json
from tests.controlplane.kit.kubelet import Kubelet
from tests.controlplane.kit.operator import OperatorProcess

ROOT = Path(__file__).resolve().parents[1]
FAST_CONTROLLERS = ("--kube-api-qps=2000", "--kube-api-burst=2000", "--concurrent-job-syncs=20")
PATIENCE_SECONDS = 900.0
"""How long a round may take at most."""
CREATORS = 20
"""How many objects are created at one time."""


@dataclass(frozen=True)
class Installation:
    """What the chart brings, in a namespace of its own, with its two volumes."""

    plane: ControlPlane
    chart: Chart
    client: Client
    namespace: str
    folder: Path

    @property
    def exports(self) -> Path:
        """The exports volume."""
        return self.folder / "exports"

    @property
    def history(self) -> Path:
        """The history volume."""
        return self.folder / "history"

    def environment(self, **settings: Any) -> dict[str, str]:
        """The operator's environment: the chart's, this machine's paths, and ``settings`` over it."""
        here = {
            "namespace": self.namespace,
            "pod_name": f"{RELEASE}-0",
            "history_dir": self.history,
            "exports_dir": self.exports,
            "port": 0,
        }
        texts = {variable(name): str(value) for name, value in (here | settings).items()}
        return self.chart.environment() | texts

    def settings(self, **settings: Any) -> Settings:
        """What the operator reads from it."""
        return read(self.environment(**settings))

    @contextlib.contextmanager
    def operator(self, *, ready: bool = True, **settings: Any) -> Iterator[OperatorProcess]:
        """A running operator, with the rights that the chart gives."""
        account = self.plane.service_account_kubeconfig(self.namespace, RELEASE)
        environment = self.environment(**settings) | {"KUBECONFIG": str(account)}
        process = OperatorProcess(environment, self.folder / "operator.log")
        try:
            yield process.wait_ready() if ready else process
        finally:
            process.stop()

    def path(self, plural: str, name: str = "") -> str:
        """Where objects of a kind are."""
        roots = {names.TASK_PLURAL: f"/apis/{names.API_VERSION}", "jobs": "/apis/batch/v1"}
        root = roots.get(plural, "/api/v1")
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    async def create(self, plural: str, bodies: Sequence[Json]) -> list[Json]:
        """Create objects, some at a time; as the server has them, in the order of ``bodies``."""
        path, waiting = self.path(plural), iter(enumerate(bodies))
        made: dict[int, Json] = {}

        async def work() -> None:
            for number, body in waiting:
                made[number] = await self.client.call("POST", path, body)

        await asyncio.gather(*(work() for _ in range(CREATORS)))
        return [made[number] for number in range(len(bodies))]


class Plane:
    """The control plane, and ``installation`` to make one after the other in it."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane, self._folder, self._chart = plane, folder, Chart.render()
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def installation(self, namespace: str = "") -> AsyncIterator[Installation]:
        """A new namespace, of this name if one is given, with the chart's objects in it; it stays, for the
        whole plane goes."""
        namespace = namespace or f"bench-{next(self._numbers)}"
        client = Client.admin(self.plane)
        try:
            await client.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            self._chart.install(self.plane.api, namespace)
            found = Installation(self.plane, self._chart, client, namespace, self._folder / namespace)
            for directory in (found.exports, found.history):
                directory.mkdir(parents=True, exist_ok=True)
            yield found
        finally:
            await client.close()


@contextlib.contextmanager
def plane(*controllers: str, audit: Path | None = None) -> Iterator[Plane]:
    """A control plane with the garbage collectors and ``controllers``, which may be as fast as they can; with
    ``audit`` it writes there what was asked of it."""
    flags = _audit_flags(audit) if audit is not None else []
    with (
        tempfile.TemporaryDirectory(prefix="querytask-bench-") as temporary,
        ControlPlane(
            Path(temporary) / "plane",
            controllers=(*GARBAGE_COLLECTORS, *controllers),
            manifests=[ROOT / "crds"],
            apiserver_flags=flags,
            controller_flags=FAST_CONTROLLERS,
        ) as running,
    ):
        yield Plane(running, Path(temporary))


def _audit_flags(log: Path) -> list[str]:
    policy = log.with_suffix(".policy.yaml")
    rules = "rules: [{level: Metadata, omitStages: [RequestReceived, ResponseStarted]}]"
    policy.write_text(f"apiVersion: audit.k8s.io/v1\nkind: Policy\n{rules}\n")
    return [f"--audit-policy-file={policy}", f"--audit-log-path={log}", "--audit-log-mode=blocking"]


async def ends(place: Installation, plural: str, bodies: Sequence[Json], ended: str) -> list[Json]:
    """Create objects and come back when the last of them was seen to be what the field selector ``ended``
    says; as they were created. Raises ``TimeoutError``."""
    async with asyncio.TaskGroup() as group:
        begun = asyncio.Event()
        last = group.create_task(seen_all(place, plural, len(bodies), ended, begun))
        await begun.wait()
        made = await place.create(plural, bodies)
        await last
    return made


async def seen_all(
    place: Installation, plural: str, wanted: int, selector: str, begun: asyncio.Event
) -> None:
    """Come back when so many objects were seen that the field selector picks; ``begun`` is set when the watch
    has begun. Raises ``TimeoutError``."""
    seen: set[str] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for kind, item in place.client.watch(place.path(plural), fieldSelector=selector):
            begun.set()
            if kind in ("ADDED", "MODIFIED"):
                seen.add(item["metadata"]["uid"])
            if len(seen) == wanted:
                return


@contextlib.asynccontextmanager
async def kubelet(place: Installation, scene: str) -> AsyncIterator[None]:
    """The scripted kubelet of the tests, for all pods; ``scene`` is for those that are no task's. Raises what
    went wrong in it."""
    default = script.read(script.sql(scene), 1)
    playing = Kubelet(place.client, place.namespace, place.exports, selector="", default=default)
    running = asyncio.create_task(playing.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if playing.faults:
        raise BaseExceptionGroup("the scripted kubelet has failed", playing.faults)


async def no_pods(place: Installation) -> None:
    """Come back when no pod is left; raises ``TimeoutError``."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await place.client.list(place.path("pods")))[0]:  # noqa: ASYNC110 - asked seldom, and once
            await asyncio.sleep(0.5)


def task(name: str, **spec: Any) -> Json:
    """A QueryTask."""
    body = {"sql": "SELECT 1"} | spec
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": {"name": name},
        "spec": body,
    }
