"""What ``decide`` promises of every observation whatever, contradictory ones included."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from hypothesis import given
from hypothesis import settings as examples

from querytask.api.bounds import size
from querytask.api.task_status import STATUS_BYTES, TaskStatus
from querytask.core.decide import decide
from querytask.core.observed import Memory, Observed, Stage
from querytask.core.phases import may_follow
from querytask.core.plan import Plan, SlotUse
from querytask.names import RETRIED_REASONS, TERMINAL_PHASES, Phase, Reason
from tests import builders as make
from tests.unit.core.strategies import worlds

NOW, SETTINGS = make.NOW, make.settings()
PROMISES: list[Callable[[Observed, Plan], None]] = []


def promise(rule: Callable[[Observed, Plan], None]) -> Callable[[Observed, Plan], None]:
    """Hold every plan to ``rule``."""
    PROMISES.append(rule)
    return rule


@promise
def there_is_always_an_answer_that_the_schema_takes(o: Observed, plan: Plan):
    """The status of every plan validates against the model of the CRD and fits into its 8 KiB."""
    document = plan.status.document()
    again = TaskStatus.model_validate(document)
    assert again.document() == document
    assert size(plan.status) <= STATUS_BYTES


@promise
def only_the_edges_that_are_drawn_are_taken(o: Observed, plan: Plan):
    """No step leaves the state machine; a running task is queued again only to be tried once more."""
    if o.task.status.phase is not Phase.RUNNING or o.memory.phase != Phase.CANCELLED:  # no step ends there
        assert plan.status.phase is not None
        assert may_follow(o.task.status.phase, plan.status.phase)
    if (o.task.status.phase, plan.status.phase) == (Phase.RUNNING, Phase.QUEUED):
        assert plan.status.reason is Reason.BACKING_OFF or o.stage not in (Stage.LIVE, Stage.ENDED)


@promise
def an_end_is_final(o: Observed, plan: Plan):
    """A status with an end keeps its phase and its reason; only its condition Recorded may change."""
    old = o.task.status
    if old.phase in TERMINAL_PHASES:
        assert (plan.status.phase, plan.status.reason) == (old.phase, old.reason)
        assert plan.start is None
        assert plan.stop is None
        assert plan.slot is SlotUse.NONE


@promise
def no_second_pod_beside_a_living_one(o: Observed, plan: Plan):
    """An attempt starts only when no pod of the task is left that may run."""
    if plan.start is not None:
        assert all(pod.ended for pod in o.pods)


@promise
def nothing_starts_without_a_slot(o: Observed, plan: Plan):
    """A new attempt needs a slot; one that was granted before a crash is made up for."""
    if plan.start is not None:
        assert o.slot or o.stage is Stage.UNBORN
        assert plan.slot is SlotUse.HOLD


@promise
def success_needs_a_manifest(o: Observed, plan: Plan):
    """Nothing but the published manifest, or a history that has seen it, makes a task succeed."""
    if plan.status.phase is Phase.SUCCEEDED and o.task.status.phase is not Phase.SUCCEEDED:
        assert o.mailbox.manifest is not None or o.memory.phase == Phase.SUCCEEDED


@promise
def a_manifest_wins(o: Observed, plan: Plan):
    """A published task has succeeded, whatever pods and outcomes tell; only an end that was told already
    stands."""
    told = {o.task.status.phase, o.memory.phase} & TERMINAL_PHASES
    if o.mailbox.manifest is not None and not told:
        assert plan.status.phase is Phase.SUCCEEDED
        assert plan.status.result is not None


@promise
def only_faults_of_the_infrastructure_are_retried_and_not_for_ever(o: Observed, plan: Plan):
    """A plan that concludes an attempt and goes on names a retried reason, while the limit allows it."""
    if plan.end is not None and plan.status.phase not in TERMINAL_PHASES:
        assert plan.end.reason in RETRIED_REASONS
        assert plan.status.reason is Reason.BACKING_OFF
        assert o.attempt <= o.task.spec.retry.limit
    if plan.start is not None and o.stage is not Stage.UNBORN:
        assert plan.start <= o.task.spec.retry.limit + 1


@promise
def attempts_never_fall(o: Observed, plan: Plan):
    """Neither the status nor the pods go back to an earlier attempt."""
    assert (plan.status.attempt or 0) >= (o.task.status.attempt or 0)
    if plan.start is not None:
        assert plan.start in (o.attempt, o.attempt + 1)
        assert plan.status.attempt == plan.start


@promise
def cancelled_means_that_nothing_runs(o: Observed, plan: Plan):
    """Cancelled is written only when no pod of the task can run any more."""
    if plan.status.phase is Phase.CANCELLED and not o.task.finished and o.memory.phase not in TERMINAL_PHASES:
        assert all(pod.ended for pod in o.pods)
        assert o.cancelling


@promise
def the_next_look_is_never_in_the_past(o: Observed, plan: Plan):
    """``again_after`` is no negative time, and no number that is none."""
    assert plan.again_after is None or plan.again_after >= 0


@promise
def a_finish_time_lies_between_creation_and_now(o: Observed, plan: Plan):
    """No clock of a worker can put an end before the task's beginning or into the future."""
    done = plan.status.completed_at
    told_before = o.task.status.completed_at or o.memory.completed_at
    if done is not None and told_before is None and o.created_at <= NOW:
        assert o.created_at <= done <= NOW


many = examples(max_examples=80, deadline=None, derandomize=True, database=None)


@many
@given(o=worlds())
def test_every_promise_is_kept(o: Observed):
    """All rules above, of one plan after the other: drawing a world costs more than judging it."""
    plan = decide(o, NOW, SETTINGS)
    assert PROMISES
    for rule in PROMISES:
        rule(o, plan)


@many
@given(o=worlds())
def test_it_comes_to_rest(o: Observed):
    """When a plan has been carried out and nothing else has happened, the next ones say the same: no loop
    feeds itself."""
    seen: list[TaskStatus] = [o.task.status]
    for _ in range(5):
        plan = decide(o, NOW, SETTINGS)
        if plan.slot is SlotUse.WANT:
            assert plan.again_after != 0 or plan.status == o.task.status
        o = carried_out(o, plan)
        seen.append(o.task.status)
    assert seen[-1] == seen[-2], [(status.phase, status.reason, status.message) for status in seen]


def carried_out(o: Observed, plan: Plan) -> Observed:
    """The same task after the plan: history and status written, the pod made, and doomed pods on their
    way."""
    pods = tuple(
        dataclasses.replace(pod, deleting=True) if pod in plan.delete_pods else pod for pod in o.pods
    )
    if plan.stop is not None:
        pods = tuple(
            dataclasses.replace(pod, stop=plan.stop.why) if pod == plan.stop.pod else pod for pod in pods
        )
    if plan.start is not None:
        pods = (*(pod for pod in pods if pod.attempt != plan.start), make.pod(plan.start, created_at=NOW))
    return dataclasses.replace(
        o,
        task=make.with_status(o.task, plan.status),
        pods=pods,
        memory=remembered(o, plan),
        refusal=None if plan.start is not None else o.refusal,
    )


def remembered(o: Observed, plan: Plan) -> Memory:
    """The history after the plan; an end that it holds stays."""
    memory, status, note = o.memory, plan.status, plan.note
    if memory.phase not in TERMINAL_PHASES:
        memory = dataclasses.replace(
            memory,
            phase=str(status.phase),
            reason=str(status.reason),
            message=status.message,
            completed_at=status.completed_at,
            queued_at=memory.queued_at or status.queued_at,
        )
    if note is None or note.number < memory.attempt:
        return memory
    same = note.number == memory.attempt
    return dataclasses.replace(
        memory,
        attempt=note.number,
        first_granted_at=memory.first_granted_at or note.granted_at,
        granted_at=(memory.granted_at if same else None) or note.granted_at,
        attempt_reason=note.reason or (memory.attempt_reason if same else None),
        attempt_message=note.message or (memory.attempt_message if same else ""),
        attempt_finished_at=(memory.attempt_finished_at if same else None) or note.finished_at,
    )
