"""The one decision: from what was observed of a task to what is to be done, without I/O and without a clock.

An ordered list of policies, each of which looks at everything and answers with a plan or with nothing; the
first plan counts. The order is the specification:

    aftercare          the task has its end: remove pods and, when its time has come, the object
    remembered         the history holds an end that the object does not show yet
    published          the manifest is there: the task has succeeded, whatever else is told of it
    ended              the attempt's pod has ended or is gone: conclude, or prepare another attempt
    cancelled_waiting  to be cancelled, and there is no pod
    cancelled_running  to be cancelled, and there is one: stop it
    overrun            runs longer than its timeout, and its worker did not stop itself
    not_started        its container should have started by now
    running, pending   its pod is as it should be
    refused            the API server would not take its pod
    waited_too_long    its queue timeout is over
    sources_missing    a source that it names cannot be used
    backing_off        an attempt was lost, and the next one has to wait
    line_up, start     it wants a slot, or has one

``settings`` are those of the operator; ``now`` is an aware time.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable

from querytask import names
from querytask.core import after, clock, conclusion, starting, status
from querytask.core.conclusion import End
from querytask.core.observed import Observed, Stage
from querytask.core.plan import AttemptNote, Plan, SlotUse, Stop
from querytask.names import TERMINAL_PHASES, CancelStep, Reason
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
    """The history was written before the status; what it holds is not decided a second time."""
    if o.mailbox.manifest is not None or o.memory.phase not in TERMINAL_PHASES:
        return None
    return Plan(status.remembered(o, now), SlotUse.NONE, again_after=0.0)


def published(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The manifest is the commit point."""
    if o.mailbox.manifest is None:
        return None
    return _finish(o, now, conclusion.published(o.mailbox.manifest))


def ended(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The attempt is over: an end, or a fault of the infrastructure that another attempt may mend."""
    if o.stage is not Stage.ENDED:
        return None
    end = _concluded(o)
    if end.retried and not o.cancelling and o.attempt <= o.task.spec.retry.limit:
        return _retry(o, now, end, settings)
    return _finish(o, now, end)


def _concluded(o: Observed) -> End:
    outcome = o.mailbox.outcome
    if outcome is not None and outcome.attempt != o.attempt:
        outcome = None
    pod = o.pod or starting.vanished(o)
    given_up = o.memory.attempt_reason
    if given_up and outcome is None and not pod.started and not o.cancelling:
        return conclusion.failed(
            Reason(given_up), o.memory.attempt_message or "the worker did not start in time"
        )
    return conclusion.of_attempt(outcome, pod, o.asked)


def _retry(o: Observed, now: dt.datetime, end: End, settings: Settings) -> Plan:
    wait = _backoff(o, settings)
    lost = f"attempt {o.attempt} was lost ({end.reason}: {end.message})"
    message = f"{lost}; attempt {o.attempt + 1} follows in {wait:g} s"
    shown = status.queued(o, now, Reason.BACKING_OFF, message, attempt=o.attempt)
    return Plan(shown, SlotUse.NONE, note=_note(o, end, now), end=end, again_after=wait)


def _finish(o: Observed, now: dt.datetime, end: End) -> Plan:
    note = _note(o, end, now) if o.attempt else None
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
        finished_at=o.memory.attempt_finished_at or end.at or now,
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
    return _finish(o, now, conclusion.cancelled(CancelStep.REQUESTED, None))


def cancelled_running(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Stop the pod, once; delete it where no kubelet will, or where stopping took too long."""
    if not o.cancelling or o.pod is None:
        return None
    shown, note = status.cancelling(o, now), _live_note(o)
    asked = shown.cancel.requested_at if shown.cancel else now
    if o.pod.deleting:
        return Plan(shown, SlotUse.HOLD, note=note, again_after=GONE_PAUSE)
    if not o.pod.node or _stop_failed(asked, now, settings):
        return Plan(shown, SlotUse.HOLD, note=note, delete_pods=(o.pod,), again_after=GONE_PAUSE)
    stop = None if o.pod.stop else Stop(o.pod, "cancel")
    return Plan(
        shown, SlotUse.HOLD, note=note, stop=stop, again_after=_until_stop_failed(asked, now, settings)
    )


def _stop_failed(asked: dt.datetime, now: dt.datetime, settings: Settings) -> bool:
    return _until_stop_failed(asked, now, settings) <= 0


def _until_stop_failed(asked: dt.datetime, now: dt.datetime, settings: Settings) -> float:
    patience = settings.stop_grace_seconds + settings.timeout_margin_seconds
    return (clock.after(asked, patience) - now).total_seconds()


# a pod is there


def overrun(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The worker keeps its own deadline; this is for one that cannot."""
    pod = o.pod
    if pod is None or pod.started_at is None:
        return None
    due = clock.after(pod.started_at, o.task.spec.timeout + settings.timeout_margin_seconds)
    if now < due:
        return None
    shown, note = status.running(o, now), _live_note(o)
    if pod.deleting:
        return Plan(shown, SlotUse.HOLD, note=note, again_after=GONE_PAUSE)
    if _stop_failed(due, now, settings) or not pod.node:
        return Plan(shown, SlotUse.HOLD, note=note, delete_pods=(pod,), again_after=GONE_PAUSE)
    stop = None if pod.stop else Stop(pod, "timeout")
    return Plan(shown, SlotUse.HOLD, note=note, stop=stop, again_after=_until_stop_failed(due, now, settings))


def not_started(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """Give the attempt up: first the history knows why, then the pod is deleted, and only when it is gone the
    task has failed."""
    pod = o.pod
    if pod is None or pod.started or pod.gated or o.granted_at is None:
        return None
    if now < clock.after(o.granted_at, settings.start_deadline_seconds):
        return None
    reason, message = starting.failure(pod, o.mount_failure)
    note = AttemptNote(
        o.attempt, o.granted_at, reason=reason, message=message, pod_name=pod.name, node=pod.node
    )
    shown = status.queued(
        o, now, Reason.POD_PENDING, f"{message}; the pod is being removed", attempt=o.attempt
    )
    doomed = () if pod.deleting else (pod,)
    return Plan(shown, SlotUse.HOLD, note=note, delete_pods=doomed, again_after=GONE_PAUSE)


def running(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The container has started."""
    pod = o.pod
    if pod is None or pod.started_at is None:
        return None
    due = clock.after(pod.started_at, o.task.spec.timeout + settings.timeout_margin_seconds)
    again = min(settings.progress_seconds, max(0.0, (due - now).total_seconds()))
    return Plan(status.running(o, now), SlotUse.HOLD, note=_live_note(o), again_after=again)


def pending(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The pod is there, its container has not started."""
    pod = o.pod
    if o.stage is not Stage.LIVE or pod is None:
        return None
    shown = status.queued(o, now, Reason.POD_PENDING, starting.progress(pod), attempt=o.attempt)
    granted = o.granted_at or now
    again = (clock.after(granted, settings.start_deadline_seconds) - now).total_seconds()
    return Plan(shown, SlotUse.HOLD, note=_live_note(o), again_after=max(1.0, again))


def _live_note(o: Observed) -> AttemptNote:
    pod = o.pod
    return AttemptNote(
        number=o.attempt,
        granted_at=o.granted_at,
        started_at=pod.started_at if pod else None,
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


def backing_off(o: Observed, now: dt.datetime, settings: Settings) -> Plan | None:
    """The wait before the next attempt doubles each time."""
    if o.stage is not Stage.CONCLUDED:
        return None
    lost_at = o.memory.attempt_finished_at or starting.backing_off_since(o) or now
    left = _backoff(o, settings) - clock.seconds_between(lost_at, now)
    if left <= 0:
        return None
    message = o.task.status.message or f"attempt {o.attempt} was lost ({o.memory.attempt_reason})"
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
    ended,
    cancelled_waiting,
    cancelled_running,
    overrun,
    not_started,
    running,
    pending,
    refused,
    waited_too_long,
    sources_missing,
    backing_off,
    line_up,
    start,
)
