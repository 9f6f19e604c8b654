"""Watches with kubectl while the tests run, and says what must never be seen.

Whatever a test looks at, these look at everything: two living pods of one task, an end that changes, an
attempt that falls, a step that the state machine does not have.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from querytask.core import podstate
from querytask.names import TASK_UID_LABEL
from scripts import kube as kubectl
from scripts.kube import Kube
from tests.controlplane.kit.invariants import Version, of_change, of_pods

Json = dict[str, Any]


class Witness:
    """What was seen of a namespace's pods and tasks; ``faults`` are the rules that were broken."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._pods: dict[str, dict[str, Json]] = defaultdict(dict)
        self._tasks: dict[str, Version] = {}
        self._phases: dict[str, list[str]] = defaultdict(list)

    def pods_of(self, uid: str) -> set[str]:
        """The uids of all pods that the task of that uid has ever had."""
        return set(self._pods[uid])

    def phases(self, uid: str) -> list[str]:
        """The phases that the task of that uid went through, in their order."""
        return list(self._phases[uid])

    def pod(self, kind: str, pod: Json) -> None:
        """A watch event of a pod."""
        if (owner := podstate.owner_uid(pod)) == "":
            return
        known = self._pods[owner]
        known[pod["metadata"]["uid"]] = pod if kind != "DELETED" else _gone(pod)
        self.faults += [f"task {owner}: {fault}" for fault in of_pods(list(known.values()))]

    def task(self, kind: str, task: Json) -> None:
        """A watch event of a task."""
        uid, name = task["metadata"]["uid"], task["metadata"]["name"]
        version = Version(time.monotonic(), task)
        old = self._tasks.get(uid)
        if old is not None:
            self.faults += [f"task {name}: {fault}" for fault in of_change(old, version, gap=False)]
        self._tasks[uid] = version
        if self._phases[uid][-1:] != [version.phase]:
            self._phases[uid].append(version.phase)


@contextmanager
def watching(kube: Kube) -> Iterator[Witness]:
    """Watch the pods and tasks of a namespace until the end of the block."""
    witness = Witness()
    pods = ("pods", f"--selector={TASK_UID_LABEL}")
    tasks = ("querytasks",)
    with _stream(kube, pods, witness.pod, witness), _stream(kube, tasks, witness.task, witness):
        yield witness


@contextmanager
def _stream(
    kube: Kube, what: tuple[str, ...], take: Callable[[str, Json], None], witness: Witness
) -> Iterator[None]:
    command = [kubectl.tool("kubectl"), "--kubeconfig", kube.kubeconfig, "--namespace", kube.namespace]
    command += ["get", *what, "--watch", "--output-watch-events", "--output=json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        ending = threading.Event()

        def read() -> None:
            try:
                _read(process, take)
            finally:
                if not ending.is_set():
                    witness.faults.append(f"nobody looks any more: the watch of {what[0]} has ended")

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            ending.set()
            process.terminate()
            reader.join()


def _read(process: subprocess.Popen[str], take: Callable[[str, Json], None]) -> None:
    decoder, text = json.JSONDecoder(), ""
    for line in process.stdout or ():
        text += line
        try:
            event, end = decoder.raw_decode(text)
        except ValueError:
            continue  # an object may come in several lines
        text = text[end:].lstrip()
        take(event["type"], event["object"])


def _gone(pod: Json) -> Json:
    """A pod that was deleted runs no more, whatever it last said."""
    return pod | {"status": pod.get("status", {}) | {"phase": "Failed", "containerStatuses": []}}
