"""What is owed to a task that has its end: its pods and, in time, the object."""

from __future__ import annotations

import dataclasses

import pytest

from querytask.core.after import aftercare
from querytask.core.plan import Plan, SlotUse
from querytask.names import Phase, Reason
from tests import builders as make
from tests.unit.core.deciding import at, since_then

NOW = make.NOW
RECORDED = since_then("Recorded", 10, "True", "Recorded")
DONE = make.memory(phase="Failed", attempt_exit_code=1)


def finished(
    *pods, phase=Phase.FAILED, since: float = 10, attempt: int = 1, spec=None, memory=DONE, **fields
):
    """A task that had its end so long ago."""
    which = at(phase, attempt=attempt, completed_at=make.ago(since), conditions=RECORDED, spec=spec, **fields)
    return make.observed(which, *pods, memory=memory)


def plan(o, **settings) -> Plan:
    found = aftercare(o, NOW, make.settings(**settings))
    assert found is not None
    return found


@pytest.mark.parametrize("phase", [None, Phase.QUEUED, Phase.RUNNING, Phase.CANCELLING])
def test_a_task_without_an_end_is_none_of_its_business(phase):
    """It answers only of finished tasks."""
    which = make.task(status=make.shown(phase) if phase else None)
    assert aftercare(make.observed(which, make.ended_pod()), NOW, make.settings()) is None


ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)
KEPT = {
    "None": set(),
    "Failed": {Phase.FAILED},
    "All": set(ENDS),
}


@pytest.mark.parametrize("phase", ENDS)
@pytest.mark.parametrize("keep", KEPT)
def test_which_pods_are_kept(keep, phase):
    """For their logs, as the setting says; then they go, too."""
    pod = make.ended_pod(code=10)
    answer = plan(finished(pod, phase=phase), keep_finished_pods=keep, kept_pod_seconds=60)
    if phase in KEPT[keep]:
        assert (answer.delete_pods, answer.again_after) == ((), 50)
        assert plan(
            finished(pod, phase=phase, since=60), keep_finished_pods=keep, kept_pod_seconds=60
        ).delete_pods
    else:
        assert (answer.delete_pods, answer.again_after) == ((pod,), None)


@pytest.mark.parametrize(
    ("phase", "kept"), [(Phase.SUCCEEDED, True), (Phase.FAILED, True), (Phase.CANCELLED, False)]
)
def test_the_pod_of_a_lost_attempt_is_kept_like_a_failed_tasks(phase, kept):
    """Why an attempt was lost is worth knowing, also when the next one succeeded."""
    lost, last = make.ended_pod(1, code=137), make.ended_pod(2)
    answer = plan(finished(lost, last, phase=phase, attempt=2))
    assert (lost not in answer.delete_pods) is kept


def test_a_pod_that_still_runs_gets_the_grace_of_a_stop():
    """Its task has its end, so nobody waits for it any more."""
    answer = plan(finished(make.running_pod(), since=10), keep_finished_pods="All")
    assert (answer.delete_pods, answer.again_after) == ((), 5)
    assert plan(finished(make.running_pod(), since=15), keep_finished_pods="All").delete_pods != ()


@pytest.mark.parametrize("pod", [make.gone_pod(), make.ended_pod(deleting=True)])
def test_what_goes_already_is_not_deleted_again(pod):
    """One request is enough."""
    answer = plan(finished(pod), keep_finished_pods="None")
    assert (answer.delete_pods, answer.again_after) == ((), None)


@pytest.mark.parametrize(
    ("ttl", "since", "deleted", "again"),
    [
        (None, 10**6, False, None),
        ("0s", 0, True, None),
        ("100s", 99, False, 1),
        ("100s", 100, True, None),
        ("100s", 10**6, True, None),
    ],
)
def test_the_time_to_live(ttl, since, deleted, again):
    """Counted from the end; without it the object stays for ever."""
    answer = plan(finished(since=since, spec={"ttlAfterFinished": ttl} if ttl else None))
    assert (answer.delete_task, answer.again_after) == (deleted, again)


def test_an_object_that_is_being_deleted_is_not_deleted_again():
    """Somebody else has a finalizer on it."""
    o = finished(spec={"ttlAfterFinished": "0s"})
    metadata = o.task.metadata.model_copy(update={"deletion_timestamp": NOW})
    assert not plan(dataclasses.replace(o, task=o.task.model_copy(update={"metadata": metadata}))).delete_task


def test_the_next_look_is_at_the_earlier_of_the_two():
    """A pod that is kept, and the object's own time."""
    spec = {"ttlAfterFinished": "30s"}
    assert plan(finished(make.ended_pod(code=1), spec=spec), kept_pod_seconds=60).again_after == 20
    assert plan(finished(make.ended_pod(code=1), spec=spec), kept_pod_seconds=15).again_after == 5


def test_the_status_stays_and_the_slot_is_free():
    """Nothing starts, nothing stops, and a status that is right is not written."""
    o = finished(make.ended_pod(code=1))
    answer = plan(o)
    assert answer.status == o.task.status
    assert (answer.slot, answer.start, answer.stop, answer.note) == (SlotUse.NONE, None, None, None)


def test_an_exit_code_that_was_not_seen_in_time_is_told_once():
    """The manifest can be there before the container has ended; that of another attempt is not taken."""
    unseen = make.memory(phase="Succeeded")
    o = finished(make.ended_pod(code=0), phase=Phase.SUCCEEDED, memory=unseen)
    note = plan(o).note
    assert note is not None
    assert (note.number, note.exit_code, note.reason, note.finished_at) == (1, 0, None, None)
    assert (
        plan(dataclasses.replace(o, memory=make.memory(phase="Succeeded", attempt_exit_code=0))).note is None
    )
    assert plan(finished(make.pod(), phase=Phase.SUCCEEDED, memory=unseen)).note is None
    assert plan(finished(make.ended_pod(code=0), attempt=2, memory=unseen)).note is None


def test_a_history_that_missed_the_end_is_told_of_the_attempt():
    """What could not be recorded when it happened is recorded later: the attempt's end, too."""
    o = finished(
        make.ended_pod(code=10), since=20, memory=make.memory(), started_at=make.ago(30), message="oh no"
    )
    note = plan(o).note
    assert note is not None
    assert (note.number, note.granted_at, note.started_at) == (1, make.ago(10), make.ago(30))
    assert (note.finished_at, note.reason, note.message) == (make.ago(20), Reason.SQL_ERROR, "oh no")
    assert (note.exit_code, note.node) == (10, "node-a")
    assert plan(finished(memory=make.memory(phase="Succeeded"))).note is None
    queued = make.observed(
        at(Phase.FAILED, Reason.QUEUE_TIMEOUT, completed_at=make.ago(9), conditions=RECORDED)
    )
    assert plan(queued).note is None, "there was no attempt"
