"""A release of the operator on the real cluster for benchmarks, in a namespace of its own that goes at the
end.

Works on whatever cluster ``KUBECONFIG`` names: the API server is reached through ``kubectl proxy``, and files
on the exports volume through the operator's own container.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from querytask import names
from querytask.settings import Settings, read
from scripts import kube as kubectl
from scripts import release
from scripts.kube import Kube
from tests.controlplane.kit.client import Client, Json

RELEASE = "querytask-bench"
OPERATOR = f"{RELEASE}-querytask-operator"
PREPARE = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "_assignment.json").write_bytes(sys.stdin.buffer.read())
"""


@dataclass(frozen=True)
class Release:
    """The operator in ``kube.namespace``; ``client`` reaches the API server."""

    kube: Kube
    client: Client

    def settings(self) -> Settings:
        """What the running operator has read."""
        found = self.kube.get("statefulset", OPERATOR)
        containers = found["spec"]["template"]["spec"]["containers"]
        (container,) = [item for item in containers if item["name"] == "operator"]
        values = {item["name"]: item["value"] for item in container["env"] if "value" in item}
        return read(values | {"QUERYTASK_NAMESPACE": self.kube.namespace})

    def path(self, plural: str, name: str = "") -> str:
        """Where objects of a kind are."""
        root = f"/apis/{names.API_VERSION}" if plural == names.TASK_PLURAL else "/api/v1"
        return f"{root}/namespaces/{self.kube.namespace}/{plural}" + (f"/{name}" if name else "")

    def prepare(self, uid: str, assignment: bytes) -> None:
        """Leave the assignment of a first attempt on the exports volume, as the operator would."""
        folder = f"/exports/{names.export_directory(self.kube.namespace, uid)}/1"
        self._operator("python3", "-c", PREPARE, folder, stdin=assignment)

    def file(self, path: str) -> bytes:
        """What a file of the exports volume holds."""
        return self._operator("cat", f"/exports/{path}").encode()

    def _operator(self, *command: str, stdin: bytes | None = None) -> str:
        return self.kube("exec", "-i", f"{OPERATOR}-0", "--", *command, stdin=stdin)


@contextlib.asynccontextmanager
async def released(**settings: Any) -> AsyncIterator[Release]:
    """Install the operator with ``settings`` over its defaults; everything of it is gone afterwards."""
    kube = kubectl.from_environment(f"querytask-bench-{secrets.token_hex(3)}")
    print(f"installing the operator in {kube.namespace} (usually 20 s)", flush=True)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": kube.namespace, "labels": labels}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        release.crds(kube)
        release.operator(kube, RELEASE, settings=settings)
        with _proxy(kube) as url:
            client = Client(url, ssl.create_default_context())
            try:
                yield Release(kube, client)
            finally:
                await client.close()
    finally:
        release.uninstall(kube, RELEASE)
        kube("delete", "namespace", kube.namespace, "--wait=true", "--timeout=120s")


@contextlib.contextmanager
def _proxy(kube: Kube) -> Iterator[str]:
    command = [kubectl.tool("kubectl"), "--kubeconfig", kube.kubeconfig, "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield f"http://{line.rsplit(maxsplit=1)[-1]}"
        finally:
            process.terminate()


@dataclass
class Seen:
    """The versions of one object as a watcher saw them, each with the time at which it came."""

    versions: list[tuple[float, Json]]

    def first(self, condition: Callable[[Json], Any]) -> float | None:
        """When the first version came that the condition is true of."""
        return next((moment for moment, version in self.versions if condition(version)), None)


class Watcher:
    """Watches all objects of a kind from before they are made: its own start is in no measured time."""

    def __init__(self, release: Release, plural: str) -> None:
        self._release, self._plural = release, plural
        self._seen: dict[str, Seen] = {}
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        begun = asyncio.Event()
        self._running = asyncio.create_task(self._watch(begun))
        await begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def of(self, name: str) -> Seen:
        """What was seen of the object of that name so far."""
        return self._seen.setdefault(name, Seen([]))

    async def until(self, name: str, condition: Callable[[Json], Any], seconds: float = 120.0) -> float:
        """When the first version came that the condition is true of; raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            while (moment := self.of(name).first(condition)) is None:
                self._changed.clear()
                await self._changed.wait()
        return moment

    async def _watch(self, begun: asyncio.Event) -> None:
        async for kind, item in self._release.client.watch(self._release.path(self._plural)):
            if kind == "GAP":
                begun.set()
            else:
                self.of(item["metadata"]["name"]).versions.append((time.time(), item | {"event": kind}))
                self._changed.set()


def phase(*wanted: str) -> Callable[[Json], bool]:
    """Whether an object is in one of these phases."""
    return lambda item: item.get("status", {}).get("phase") in wanted


def brief(item: Json) -> str:
    """An object's status, for messages."""
    return json.dumps(item.get("status", {}))[:500]
