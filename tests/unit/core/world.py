"""A world of one task: what its operator has written, what a kubelet makes of it, and crashes in between.

The decisions, the rows and how they merge are the real ones; only the API server, the kubelet and the worker
are stood in for, by the few lines below. Each step of the operator is a list of writes in the order of the
applier: history, pod, stop or deletion, status. ``crash_after`` says after how many writes in all the
operator dies; it then starts anew and remembers nothing that it had not written.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

from querytask import names
from querytask.adapters.store import StoredTask, merge
from querytask.api import parse
from querytask.api.task import QueryTask
from querytask.core.decide import decide
from querytask.core.observed import Mailbox, Observed, Refusal
from querytask.core.plan import Plan, SlotUse
from querytask.core.podstate import PodState, Terminated
from querytask.names import TERMINAL_PHASES, Reason
from querytask.runtime import recording
from querytask_worker.contract import ExitCode, Manifest, Outcome
from tests import builders as make

SETTINGS = make.settings(keep_finished_pods="None")
Worker = Callable[["World", PodState], None]
"""What becomes of a pod that has started: called once for each look."""


class Crash(Exception):
    """The operator's process is gone."""


@dataclasses.dataclass
class World:
    """One task and everything that can be observed of it."""

    worker: Worker
    spec: dict[str, Any] = dataclasses.field(default_factory=dict)
    crash_after: int | None = None
    now: dt.datetime = make.NOW
    status: dict[str, Any] = dataclasses.field(default_factory=dict)
    stored: StoredTask | None = None
    pods: dict[str, PodState] = dataclasses.field(default_factory=dict)
    manifest: Manifest | None = None
    outcomes: dict[int, Outcome] = dataclasses.field(default_factory=dict)
    refused: Reason | None = None
    writes: list[str] = dataclasses.field(default_factory=list)
    phases: list[str] = dataclasses.field(default_factory=list)
    starts: list[int] = dataclasses.field(default_factory=list)
    slot: bool = False
    refusal: Refusal | None = None
    seen_gone: dict[str, PodState] = dataclasses.field(default_factory=dict)
    """The operator's own memory of pods, as its cache has it."""

    def run(self, looks: int = 60) -> World:
        """Let the operator look again and again, the world go on in between, until nothing is left to do."""
        for _ in range(looks):
            try:
                plan = self.look()
            except Crash:
                self.crash_after = None
                self.slot, self.refusal, self.seen_gone = False, None, {}
                continue
            if self.settled(plan):
                return self
            self.pass_time(plan)
        raise AssertionError(f"it does not come to rest: {self.phases[-5:]}, {self.writes[-8:]}")

    def settled(self, plan: Plan) -> bool:
        """Whether the task has its end and nothing of it is left to clear away."""
        return self.status.get("phase") in TERMINAL_PHASES and not self.pods and plan.again_after is None

    def look(self) -> Plan:
        """One reconcile: observe, decide, apply."""
        o = self.observe()
        plan = decide(o, self.now, SETTINGS)
        if plan.slot is SlotUse.WANT:
            self.slot = True
            o = dataclasses.replace(o, slot=True)
            plan = decide(o, self.now, SETTINGS)
        self.slot = plan.slot is SlotUse.HOLD
        self.apply(o, plan)
        return plan

    def task(self) -> QueryTask:
        """The object, as the API server has it."""
        return parse.task(self.raw())

    def raw(self) -> dict[str, Any]:
        """The same, raw."""
        return make.raw_task(spec=self.spec, status=self.status)

    def observe(self) -> Observed:
        """What the operator can know now."""
        known = {**self.seen_gone, **self.pods}
        memory = recording.memory(self.stored)
        first = Observed(
            self.task(), tuple(known.values()), memory=memory, slot=self.slot, refusal=self.refusal
        )
        return dataclasses.replace(first, mailbox=Mailbox(self.manifest, self.outcomes.get(first.attempt)))

    # writes

    def apply(self, o: Observed, plan: Plan) -> None:
        """Carry the plan out, write by write."""
        self.record(recording.step(self.raw(), o, plan))
        if plan.start is not None and self.create(plan.start):
            return
        if plan.stop is not None:
            self.wrote(f"stop {plan.stop.why}", self.stop, plan.stop.pod.name, plan.stop.why)
        for pod in (*plan.delete_pods, *plan.force_pods):
            self.wrote("delete pod", self.delete, pod.name)
        if plan.status.document() != self.status:
            self.wrote(f"status {plan.status.phase}", self.show, plan.status.document())

    def wrote(self, what: str, write: Callable[..., None], *arguments: Any) -> None:
        """Count a write, and die right after the one that was chosen."""
        write(*arguments)
        self.writes.append(what)
        if self.crash_after is not None and len(self.writes) >= self.crash_after:
            raise Crash

    def record(self, step: recording.Step) -> None:
        """The history takes a step, by its own rules."""
        old = self.stored
        attempts = {item.attempt: item for item in (old.attempts if old else ())}
        if step.attempt is not None:
            number = step.attempt.attempt
            attempts[number] = merge.attempt(attempts.get(number), step.attempt)
        merged = StoredTask(
            task=merge.task(old.task if old else None, step.task, self.now),
            sql_hash="",
            updated_at=self.now,
            attempts=tuple(attempts[number] for number in sorted(attempts)),
        )
        if old is not None and dataclasses.replace(merged, updated_at=old.updated_at) == old:
            return
        assert merged.task.phase == step.task.phase, (
            "the history refuses, and the operator never comes to rest"
        )
        self.wrote(f"history {step.task.phase}", lambda: setattr(self, "stored", merged))

    def create(self, attempt: int) -> bool:
        """Make the pod; true when it was refused."""
        if self.refused is not None:
            self.refusal = Refusal(self.refused, "refused", self.now)
            return True
        name = names.pod_name(make.UID, attempt)
        if name in self.pods:
            return False  # 409: it is ours
        assert all(pod.ended for pod in self.pods.values()), "two living pods of one task"
        self.starts.append(attempt)
        self.wrote("create pod", self.pods.__setitem__, name, make.pod(attempt, created_at=self.now))
        return False

    def stop(self, name: str, why: str) -> None:
        """The annotation and the deadline; the kubelet does the rest."""
        self.pods[name] = dataclasses.replace(self.pods[name], stop=why)

    def delete(self, name: str) -> None:
        """A pod that has ended goes at once, another one when its kubelet has stopped it."""
        pod = self.pods[name]
        if pod.ended or not pod.node:
            self.vanish(pod)
        else:
            self.pods[name] = dataclasses.replace(pod, deleting=True)

    def show(self, document: dict[str, Any]) -> None:
        """The object gets its status."""
        self.status = document
        self.phases.append(f"{document['phase']}/{document['reason']}")

    # the world goes on

    def pass_time(self, plan: Plan) -> None:
        """Kubelet and worker do the next thing; when they have nothing to do, the next look comes."""
        before = (self.now, dict(self.pods), self.manifest, dict(self.outcomes))
        self.now += dt.timedelta(seconds=1)
        for pod in list(self.pods.values()):
            self.kubelet(pod)
        if before[1:] == (self.pods, self.manifest, self.outcomes) and plan.again_after:
            self.now += dt.timedelta(seconds=min(plan.again_after, 400))

    def kubelet(self, pod: PodState) -> None:
        """Start what waits, stop what is to be stopped, and let the worker work."""
        if pod.ended:
            return
        if not pod.node:
            self.pods[pod.name] = dataclasses.replace(pod, node="node-a")
        elif pod.stop or pod.deleting:
            self.stopped(pod)
        else:
            self.worker(self, pod)

    def stopped(self, pod: PodState) -> None:
        """The worker took the SIGTERM: it says so and ends."""
        if pod.started:
            stopped = self.letter(ExitCode.STOPPED, pod.attempt, step="Interrupted")
            self.outcomes.setdefault(pod.attempt, stopped)
        ended = self.ended(pod, ExitCode.STOPPED)
        if pod.deleting:
            self.vanish(ended)

    # what workers do

    def started(self, pod: PodState) -> None:
        """The container starts."""
        self.pods[pod.name] = dataclasses.replace(pod, phase="Running", running=True, started_at=self.now)

    def ended(self, pod: PodState, code: int, why: str = "Error", **fields: Any) -> PodState:
        """The container ends."""
        end = Terminated(code, why, "", self.now) if pod.started else None
        phase = "Succeeded" if code == 0 else "Failed"
        fields = dict[str, Any](phase=phase, running=False, terminated=end) | fields
        self.pods[pod.name] = dataclasses.replace(pod, **fields)
        return self.pods[pod.name]

    def vanish(self, pod: PodState) -> None:
        """The pod's object goes; an operator that watches has seen its last state."""
        self.pods.pop(pod.name, None)
        self.seen_gone[pod.name] = dataclasses.replace(pod, gone=True)

    def letter(self, code: ExitCode, attempt: int, **fields: Any) -> Outcome:
        """An outcome, as of now."""
        moment = make.text(self.now)
        times = {"started_at": moment, "finished_at": moment}
        return make.outcome(code, attempt=attempt, **times | fields)

    def publish(self, attempt: int) -> None:
        """The link of the manifest: the first one wins."""
        if self.manifest is None:
            moment = make.text(self.now)
            self.manifest = make.manifest(attempt=attempt, started_at=moment, published_at=moment)


def succeeds(world: World, pod: PodState) -> None:
    """A worker that starts, publishes and ends."""
    if not pod.started:
        world.started(pod)
        return
    world.publish(pod.attempt)
    world.outcomes[pod.attempt] = world.letter(ExitCode.COMPLETED, pod.attempt)
    world.ended(pod, 0, "Completed")


def fails(world: World, pod: PodState) -> None:
    """A worker whose query is wrong."""
    if not pod.started:
        world.started(pod)
        return
    world.outcomes[pod.attempt] = world.letter(ExitCode.SQL_ERROR, pod.attempt)
    world.ended(pod, ExitCode.SQL_ERROR)


def works(world: World, pod: PodState) -> None:
    """A worker that works until it is stopped."""
    if not pod.started:
        world.started(pod)


def never_starts(world: World, pod: PodState) -> None:
    """A container that cannot be started."""
    world.pods[pod.name] = dataclasses.replace(pod, waiting_reason="ErrImagePull", waiting_message="no")


def lost(times: int, then: Worker) -> Worker:
    """A worker that is killed by nobody knows whom so many times."""

    def work(world: World, pod: PodState) -> None:
        if pod.attempt > times:
            then(world, pod)
        elif not pod.started:
            world.started(pod)
        else:
            world.ended(pod, 137)

    return work


def evicted(times: int, then: Worker) -> Worker:
    """A pod that is evicted, and whose object goes with it, so many times."""

    def work(world: World, pod: PodState) -> None:
        if pod.attempt > times:
            then(world, pod)
        else:
            world.vanish(world.ended(pod, 137, reason="Evicted", message="memory"))

    return work
