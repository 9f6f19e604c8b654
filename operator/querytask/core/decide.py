"""The one decision: from what was observed of a task to what is to be done, without I/O and without a clock.

An ordered list of policies, each of which looks at everything and answers with a plan or with nothing; the
first plan counts. The order is the specification:

    aftercare          the task has its end: remove pods and, when its time has come, the object
    remembered         the history holds an end that the object does not show yet
    published          the manifest is there: the task has succeeded, whatever else is told of it
    leftovers          a pod of an attempt that is over may still run: it goes before anything else is done
    ended              the attempt's pod has ended or is gone: conclude, or prepare another attempt
    cancelled_waiting  to be cancelled, and there is no pod
    cancelled_running  to be cancelled, and there is one: stop it
    overrun            runs longer than its timeout, and its worker did not stop itself
    not_started        its container should have started by now
    running, pending   its pod is as it should be
    refused            the API server would not take its pod
    waited_too_long    its queue timeout is over
    exhausted          an attempt was lost, and no other may follow
    sources_missing    a source that it names cannot be used
    backing_off        an attempt was lost, and the next one has to wait
    line_up, start     it wants a slot, or has one

``settings`` are those of the operator; ``now`` is an aware time.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable

from querytask import names
from querytask.core import after, cancelling, clock, conclusion, starting, status
from querytask.core.conclusion import End
from querytask.core.observed import Observed, Stage
from querytask.core.plan import AttemptNote, Plan, SlotUse, Stop
from querytask.core.podstate import PodState
from querytask.names import TERMINAL_PHASES, CancelStep, Phase, Reason
from querytask.settings import Settings

REFUSAL_PAUSE = 5.0
"""Seconds between two tries to create a pod that the API server refuses."""
GONE_PAUSE = 2.0
"""Seconds until a pod that is being deleted is looked at again, should its event be lost."""

Policy = Callable[[Observed, dt.datetime, Settings], Plan | None]


def decide(o: Observed, now: dt.datetime, settings: Settings) -> Plan:
    """What is to be done next about the task."""
    for policy in POLICIES:
        plan = policy(o, now, settings)
        if plan is not None:
            return plan
    raise AssertionError("the last policy always answers")


# ends


def remembered(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The history was written before the status; what it holds is not decided a second time, not even when a
    manifest has come to light since: the history would not take another end."""
    told = o.memory.phase
    if told not in TERMINAL_PHASES or (told == Phase.SUCCEEDED and o.mailbox.manifest is not None):
        return None
    return Plan(status.remembered(o, now), SlotUse.NONE, again_after=0.0)


def published(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The manifest is the commit point."""
    if o.mailbox.manifest is None:
        return None
    return _finish(o, now, conclusion.published(o.mailbox.manifest))


def leftovers(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Never two living pods of one task, whoever has made the other."""
    if not o.leftovers:
        return None
    old = o.task.status
    message = "a pod of an attempt that is over is being removed"
    shown = old if old.phase else status.queued(o, now, Reason.POD_PENDING, message)
    doomed = tuple(pod for pod in o.leftovers if not pod.deleting)
    return Plan(shown, SlotUse.HOLD, delete_pods=doomed, again_after=GONE_PAUSE)


def ended(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The attempt is over: an end, or a fault of the infrastructure that another attempt may mend."""
    if o.stage is not Stage.ENDED:
        return None
    end = cancelling.named(o, _concluded(o), now, settings)
    if end.retried and not o.cancelling and o.attempt <= o.task.spec.retry.limit:
        return _retry(o, now, end, settings)
    return _finish(o, now, end)


def _concluded(o: Observed) -> End:
    outcome = o.mailbox.outcome
    if outcome is not None and outcome.attempt != o.attempt:
        outcome = None
    pod = o.pod or starting.vanished(o)
    given_up = o.remembered.attempt_reason
    if given_up and outcome is None and not pod.started and not o.cancelling:
        message = o.remembered.attempt_message or "the worker did not start in time"
        return conclusion.failed(conclusion.reason(given_up), message)
    return conclusion.of_attempt(outcome, pod, o.asked)


def _retry(o: Observed, now: dt.datetime, end: End, settings: Settings) -> Plan:
    message = _lost(o, end.reason, end.message, settings)
    shown = status.queued(o, now, Reason.BACKING_OFF, message, attempt=o.attempt)
    return Plan(shown, SlotUse.NONE, note=_note(o, end, now), end=end, again_after=_backoff(o, settings))


def _lost(o: Observed, reason: str, message: str, settings: Settings) -> str:
    """What is said of a lost attempt; the same words whoever says them, before a crash or after."""
    lost = f"attempt {o.attempt} was lost ({reason}: {message})"
    return f"{lost}; attempt {o.attempt + 1} follows after {_backoff(o, settings):g} s"


def _finish(o: Observed, now: dt.datetime, end: End) -> Plan:
    if end.phase is Phase.CANCELLED and o.task.status.phase is Phase.RUNNING:
        # a worker that had ended before anybody saw the request: there is no edge from Running to Cancelled
        return Plan(status.cancelling(o, now), SlotUse.NONE, again_after=0.0)
    told_before = o.stage is Stage.CONCLUDED and end.manifest is None
    note = None if told_before or not o.attempt else _note(o, end, now)
    return Plan(status.finished(o, now, end), SlotUse.NONE, note=note, end=end, again_after=0.0)


def _note(o: Observed, end: End, now: dt.datetime) -> AttemptNote:
    pod, outcome = o.pod, end.outcome
    started = (
        pod.started_at if pod and pod.started_at else clock.parse(outcome.started_at) if outcome else None
    )
    code = pod.terminated.exit_code if pod and pod.terminated else outcome.exit_code if outcome else None
    return AttemptNote(
        number=o.attempt,
        granted_at=o.granted_at or now,
        started_at=started,
        finished_at=o.remembered.attempt_finished_at or clock.within(end.at or now, o.created_at, now),
        reason=end.reason,
        message=end.message,
        exit_code=code,
        node=pod.node if pod else None,
        pod_name=pod.name if pod else None,
    )


# cancelling


def cancelled_waiting(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Nothing runs, so it is true at once."""
    if not o.cancelling or o.stage is Stage.LIVE:
        return None
    end = conclusion.cancelled(CancelStep.REQUESTED, None)
    return _finish(o, now, cancelling.named(o, end, now, settings))


def cancelled_running(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Stop the pod, once; delete it where no kubelet will, or where stopping took too long."""
    if not o.cancelling or o.pod is None or o.stage is not Stage.LIVE:
        return None
    shown, note = status.cancelling(o, now), _live_note(o)
    asked = cancelling.requested_at(o, now)
    if cancelling.overdue(o, now, settings):
        return _cancel_overdue(o, o.pod, now, note)
    if o.pod.deleting:
        return Plan(shown, SlotUse.HOLD, note=note, again_after=GONE_PAUSE)
    if not o.pod.node:
        return Plan(shown, SlotUse.HOLD, note=note, delete_pods=(o.pod,), again_after=GONE_PAUSE)
    stop = None if o.pod.stop else Stop(o.pod, "cancel")
    return Plan(
        shown,
        SlotUse.HOLD,
        note=note,
        stop=stop,
        again_after=max(GONE_PAUSE, cancelling.left(asked, now, settings)),
    )


def _cancel_overdue(o: Observed, pod: PodState, now: dt.datetime, note: AttemptNote) -> Plan:
    """The watchdog: the history knows why first; then the pod goes, by force once its node is gone."""
    note = dataclasses.replace(note, reason=Reason.CANCEL_TIMEOUT, message=cancelling.OVERDUE)
    doomed = () if pod.deleting else (pod,)
    forced = (pod,) if pod.deleting and o.node_gone else ()
    shown = status.stalled(o, now)
    return Plan(shown, SlotUse.HOLD, note=note, delete_pods=doomed, force_pods=forced, again_after=GONE_PAUSE)


# a pod is there


def overrun(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The worker keeps its own deadline; this is for one that cannot."""
    pod, due = o.pod, _due(o, settings)
    if pod is None or due is None or now < due:
        return None
    shown, note = status.running(o, now), _live_note(o)
    if pod.deleting:
        return Plan(shown, SlotUse.HOLD, note=note, again_after=GONE_PAUSE)
    if cancelling.left(due, now, settings) <= 0 or not pod.node:
        # the history knows why first: when the pod is gone, nobody else does
        note = dataclasses.replace(note, reason=Reason.TIMEOUT, message=conclusion.OVERRUN)
        return Plan(shown, SlotUse.HOLD, note=note, delete_pods=(pod,), again_after=GONE_PAUSE)
    stop = None if pod.stop else Stop(pod, "timeout")
    return Plan(
        shown,
        SlotUse.HOLD,
        note=note,
        stop=stop,
        again_after=max(GONE_PAUSE, cancelling.left(due, now, settings)),
    )


def _long(o: Observed, now: dt.datetime, settings: Settings) -> bool:
    return o.started_at is not None and now >= clock.after(o.started_at, settings.long_running_seconds)


def _due(o: Observed, settings: Settings) -> dt.datetime | None:
    """When a worker that runs should have stopped itself; ``None`` while none runs."""
    if o.stage is not Stage.LIVE or o.started_at is None:
        return None
    return clock.after(o.started_at, o.task.spec.timeout + settings.timeout_margin_seconds)


def not_started(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Give the attempt up: first the history knows why, then the pod is deleted, and only when it is gone the
    task has failed."""
    pod, since = o.pod, o.starting_since
    if pod is None or o.stage is not Stage.LIVE or o.started_at or pod.gated or since is None:
        return None
    if now < clock.after(since, settings.start_deadline_seconds):
        return None
    reason, message = _given_up(o) or starting.failure(pod, o.mount_failure)
    note = AttemptNote(
        o.attempt, o.granted_at, reason=reason, message=message, pod_name=pod.name, node=pod.node
    )
    shown = status.queued(
        o, now, Reason.POD_PENDING, f"{message}; the pod is being removed", attempt=o.attempt
    )
    doomed = () if pod.deleting else (pod,)
    return Plan(shown, SlotUse.HOLD, note=note, delete_pods=doomed, again_after=GONE_PAUSE)


def _given_up(o: Observed) -> tuple[Reason, str] | None:
    """Why the attempt was given up: it is told once, for a pod that is being deleted says nothing of it any
    more."""
    told = o.remembered
    return (conclusion.reason(told.attempt_reason), told.attempt_message) if told.attempt_reason else None


def running(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The container has started."""
    due = _due(o, settings)
    if due is None:
        return None
    again = min(settings.progress_seconds, max(0.0, (due - now).total_seconds()))
    return Plan(
        status.running(o, now, long=_long(o, now, settings)),
        SlotUse.HOLD,
        note=_live_note(o),
        again_after=again,
    )


def pending(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The pod is there, its container has not started."""
    pod = o.pod
    if o.stage is not Stage.LIVE or pod is None:
        return None
    shown = status.queued(o, now, Reason.POD_PENDING, starting.progress(pod), attempt=o.attempt)
    since = o.starting_since or now
    again = (clock.after(since, settings.start_deadline_seconds) - now).total_seconds()
    if pod.gated:  # whoever holds it decides when it goes on, and its event tells
        again = settings.start_deadline_seconds
    return Plan(shown, SlotUse.HOLD, note=_live_note(o), again_after=max(1.0, again))


def _live_note(o: Observed) -> AttemptNote:
    pod = o.pod
    return AttemptNote(
        number=o.attempt,
        granted_at=o.granted_at,
        started_at=o.started_at,
        node=pod.node if pod else None,
        pod_name=pod.name if pod else None,
    )


# no pod is there


def refused(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """A quota or a policy of the namespace: it may pass, so try again until the start deadline; a taken name
    does not."""
    if o.refusal is None or o.stage is not Stage.UNBORN:
        return None
    refusal, granted = o.refusal, o.granted_at or now
    over = now >= clock.after(granted, settings.start_deadline_seconds)
    if over or refusal.reason is Reason.NAME_TAKEN:
        return _finish(o, now, conclusion.failed(refusal.reason, refusal.message))
    pause = (clock.after(refusal.at, REFUSAL_PAUSE) - now).total_seconds()
    if pause <= 0:
        return None
    return Plan(status.queued(o, now, refusal.reason, refusal.message), SlotUse.HOLD, again_after=pause)


def waited_too_long(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """From the creation of the object until its first slot."""
    if o.attempt or now < clock.after(o.created_at, o.task.spec.queue_timeout):
        return None
    message = f"no slot was granted within spec.queueTimeout ({o.task.spec.queue_timeout:g} s)"
    return _finish(o, now, conclusion.failed(Reason.QUEUE_TIMEOUT, message))


def sources_missing(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Wait for a source without a slot, for as long as a start may take."""
    if o.stage not in (Stage.NONE, Stage.CONCLUDED):
        return None
    problem = next((source for source in o.sources if source.problem is not None), None)
    if problem is None or problem.problem is None:
        return None
    left = settings.start_deadline_seconds - clock.seconds_between(
        starting.sources_missing_since(o) or now, now
    )
    if left <= 0:
        return _finish(o, now, conclusion.failed(problem.problem, problem.message))
    left = min(left, _until_queue_timeout(o, now))
    return Plan(status.queued(o, now, problem.problem, problem.message), SlotUse.NONE, again_after=left)


def exhausted(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """A history that was restored, or a status set by hand, may tell of more attempts than there may be."""
    if o.stage is not Stage.CONCLUDED or o.attempt <= o.task.spec.retry.limit:
        return None
    reason = conclusion.reason(o.remembered.attempt_reason or Reason.WORKER_LOST)
    message = o.remembered.attempt_message or f"attempt {o.attempt} was lost"
    return _finish(o, now, conclusion.failed(reason, message))


def backing_off(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The wait before the next attempt doubles each time. A task whose lost attempt still shows as running
    says so even when the wait is over: there is no other way from Running back into the queue."""
    if o.stage is not Stage.CONCLUDED:
        return None
    told = o.remembered
    lost_at = told.attempt_finished_at or starting.backing_off_since(o) or now
    left = max(0.0, _backoff(o, settings) - clock.seconds_between(lost_at, now))
    if left == 0.0 and o.task.status.phase is not Phase.RUNNING:
        return None
    message = _lost(o, told.attempt_reason or Reason.WORKER_LOST, told.attempt_message, settings)
    if told.attempt_reason is None and o.task.status.reason is Reason.BACKING_OFF:
        message = o.task.status.message or message
    return Plan(
        status.queued(o, now, Reason.BACKING_OFF, message, attempt=o.attempt), SlotUse.NONE, again_after=left
    )


def _backoff(o: Observed, settings: Settings) -> float:
    return min(settings.max_backoff_seconds, o.task.spec.retry.backoff * math.pow(2, max(0, o.attempt - 1)))


def line_up(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Wait for a slot."""
    if o.slot or o.stage is Stage.UNBORN:
        return None
    message = f"waiting for one of {settings.max_running} slots"
    return Plan(
        status.queued(o, now, Reason.WAITING_FOR_SLOT, message),
        SlotUse.WANT,
        again_after=_until_queue_timeout(o, now),
    )


def _until_queue_timeout(o: Observed, now: dt.datetime) -> float:
    if o.attempt:
        return math.inf
    return max(0.0, (clock.after(o.created_at, o.task.spec.queue_timeout) - now).total_seconds())


def start(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Make the assignment and the pod; an attempt that was granted before a crash keeps its number and its
    start clock."""
    again = o.stage is Stage.UNBORN
    number = o.attempt if again else o.attempt + 1
    granted = (o.granted_at if again else None) or now
    message = starting.waiting(names.pod_name(o.task.metadata.uid, number))
    shown = status.queued(o, now, Reason.POD_PENDING, message, attempt=number)
    note = AttemptNote(number, granted, pod_name=shown.pod_name)
    return Plan(shown, SlotUse.HOLD, note=note, start=number, again_after=settings.start_deadline_seconds)


POLICIES: tuple[Policy, ...] = (
    after.aftercare,
    remembered,
    published,
    leftovers,
    ended,
    cancelled_waiting,
    cancelled_running,
    overrun,
    not_started,
    running,
    pending,
    refused,
    waited_too_long,
    exhausted,
    sources_missing,
    backing_off,
    line_up,
    start,
)
