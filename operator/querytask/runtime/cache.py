"""The last that was seen of the cluster: unfinished tasks, worker pods, sources and claims of one namespace.

For the reconciler, which treats it as a hint: whatever matters (a pod that is not there, a task about to
start) it asks the API server again. Events update it, the answer to a write of our own updates it at once,
and every full resync replaces it. Finished tasks are not kept, so that ten thousand of them cost nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

from querytask import names
from querytask.core import managers, podstate
from querytask.core.podstate import PodState

Raw = dict[str, Any]


class Key(NamedTuple):
    """What the work queue holds: an object, by kind and name."""

    kind: str
    namespace: str
    name: str


class Cache:
    """The caches of one namespace; every ``put`` and ``drop`` tells the keys that it concerns, none where it
    changed nothing."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.tasks: dict[str, Raw] = {}
        self.sources: dict[str, Raw] = {}
        self.claims: dict[str, Raw] = {}
        self._pods: dict[str, dict[str, PodState]] = {}
        self._owners: dict[str, str] = {}
        self._expected: set[str] = set()
        self._finished: dict[str, int] = {}
        """Versions, by uid, in which tasks were seen finished since the last full list: an event of an
        earlier one may still be on its way."""

    # tasks

    def put_task(self, task: Raw) -> list[Key]:
        """Take a task as seen; an older version than the one here is left alone, a finished one dropped."""
        metadata = task["metadata"]
        name, uid, version = metadata["name"], metadata["uid"], int(metadata["resourceVersion"])
        if not _newer(task, self.tasks.get(name)) or version < self._finished.get(uid, 0):
            return []
        if task.get("status", {}).get("phase") in names.TERMINAL_PHASES:
            self._finished[uid] = version
            self.tasks.pop(name, None)
        else:
            managers.trim(task)
            self.tasks[name] = task
        return [self.task_key(name)]

    def drop_task(self, name: str, uid: str = "") -> list[Key]:
        """Forget a task: it is gone, or finished. One that was seen finished, by its ``uid``, is no news: its
        end is what took it out of the selection that is watched."""
        if uid in self._finished:
            return []
        self.tasks.pop(name, None)
        return [self.task_key(name)]

    def task_key(self, name: str) -> Key:
        """The key of the task of that name."""
        return Key(names.TASK_KIND, self._namespace, name)

    # pods

    def put_pod(self, pod: Raw) -> list[Key]:
        """Take a worker pod as seen."""
        state = podstate.read(pod)
        known = self._pods.setdefault(task_uid(pod), {})
        if not _later(state, known.get(state.name)):
            return []
        known[state.name] = state
        self._owners[task_uid(pod)] = owner_name(pod)
        return [self.task_key(owner_name(pod))]

    def drop_pod(self, pod: Raw) -> list[Key]:
        """A pod is said to be gone; its last state stays, so marked, for whoever concludes how the attempt
        ended."""
        uid, state = task_uid(pod), podstate.read(pod)
        if state.uid in self._expected:
            self._expected.discard(state.uid)
            self.forget_pods(uid, [state.name])
            return []
        self._owners[uid] = owner_name(pod)
        self._pods.setdefault(uid, {})[state.name] = dataclasses.replace(state, gone=True)
        return [self.task_key(owner_name(pod))]

    def expect_gone(self, pod: PodState) -> None:
        """The pod of a finished task was deleted by us: nobody has to look when it is gone."""
        self._expected.add(pod.uid)

    def pods_of(self, uid: str) -> tuple[PodState, ...]:
        """The pods of the task with that uid, the oldest attempt first."""
        return tuple(sorted(self._pods.get(uid, {}).values(), key=lambda pod: pod.attempt))

    def forget_pods(self, uid: str, gone: Iterable[str]) -> None:
        """The pods of these names are gone and nobody needs their last state any more."""
        known = self._pods.get(uid, {})
        for name in gone:
            known.pop(name, None)
        if not known:
            self._pods.pop(uid, None)
            self._owners.pop(uid, None)

    def pod_owners(self) -> dict[str, str]:
        """The names of the tasks that own a pod, by uid."""
        return dict(self._owners)

    # what tasks depend on

    def put_source(self, source: Raw) -> list[Key]:
        """Take a source as seen; its own key, and every waiting task that names it."""
        name = source["metadata"]["name"]
        if not _newer(source, self.sources.get(name)):
            return []
        self.sources[name] = source
        return [Key(names.SOURCE_KIND, self._namespace, name), *self._users(name)]

    def drop_source(self, name: str) -> list[Key]:
        """A source is gone."""
        self.sources.pop(name, None)
        return self._users(name)

    def put_claim(self, claim: Raw) -> list[Key]:
        """Take a claim as seen; the sources on it, and the tasks that wait for them."""
        self.claims[claim["metadata"]["name"]] = {"metadata": {"name": claim["metadata"]["name"]}}
        return self._sources_on(claim["metadata"]["name"])

    def drop_claim(self, name: str) -> list[Key]:
        """A claim is gone."""
        self.claims.pop(name, None)
        return self._sources_on(name)

    def _users(self, source: str) -> list[Key]:
        return [
            self.task_key(name)
            for name, task in self.tasks.items()
            if source in task.get("spec", {}).get("sources", ())
        ]

    def _sources_on(self, claim: str) -> list[Key]:
        found: list[Key] = []
        for name, source in self.sources.items():
            if source.get("spec", {}).get("volume", {}).get("claimName") == claim:
                found += [Key(names.SOURCE_KIND, self._namespace, name), *self._users(name)]
        return found

    # resync

    def replace(
        self, *, tasks: list[Raw], pods: list[Raw], sources: list[Raw], claims: list[Raw]
    ) -> set[Key]:
        """Put what a full list has said in place of everything; the keys of all that is or was here."""
        concerned = {self.task_key(name) for name in (*self.tasks, *self._owners.values())}
        listed = {task["metadata"]["name"] for task in tasks}
        for name in [name for name in self.tasks if name not in listed]:
            del self.tasks[name]
        concerned.update(key for task in tasks for key in self.put_task(task))
        self._finished.clear()
        self._keep_pods({pod["metadata"]["uid"] for pod in pods}, {task["metadata"]["uid"] for task in tasks})
        concerned.update(key for pod in pods for key in self.put_pod(pod))
        self.sources = {source["metadata"]["name"]: source for source in sources}
        self.claims = {
            claim["metadata"]["name"]: {"metadata": {"name": claim["metadata"]["name"]}} for claim in claims
        }
        concerned.update(self.task_key(name) for name in self.tasks)
        concerned.update(Key(names.SOURCE_KIND, self._namespace, name) for name in self.sources)
        return concerned

    def _keep_pods(self, listed: set[str], tasks: set[str]) -> None:
        """Of the pods known so far only those stay that a list has, perhaps in an older version, and those of
        unfinished tasks that are gone: no list has them, and their last state may still be needed."""
        self._expected &= listed
        kept = {
            uid: {name: pod for name, pod in pods.items() if pod.uid in listed or (pod.gone and uid in tasks)}
            for uid, pods in self._pods.items()
        }
        self._pods = {uid: pods for uid, pods in kept.items() if pods}
        self._owners = {uid: owner for uid, owner in self._owners.items() if uid in self._pods}


def task_uid(pod: Raw) -> str:
    """The uid of the task that a worker pod is labelled with."""
    return str(pod["metadata"].get("labels", {}).get(names.TASK_UID_LABEL, ""))


def owner_name(pod: Raw) -> str:
    """The name of the task of a worker pod."""
    return str(pod["metadata"].get("annotations", {}).get(names.TASK_NAME_ANNOTATION, ""))


def _later(seen: PodState, known: PodState | None) -> bool:
    """Whether ``seen`` is news of a pod: another of that name is, the same one in a later version, too."""
    return known is None or seen.uid != known.uid or seen.version > known.version


def _newer(seen: Raw, known: Raw | None) -> bool:
    """Whether ``seen`` is news; another uid always is. Versions of one object grow, as Kubernetes 1.35
    promises of all."""
    if known is None or seen["metadata"]["uid"] != known["metadata"]["uid"]:
        return True
    return int(seen["metadata"]["resourceVersion"]) > int(known["metadata"]["resourceVersion"])
