"""What may be removed, for every combination of what the volume, the history and the cluster say."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querytask.core.collection import Action, Kind, Rules, plan
from querytask.core.collection_facts import AttemptFacts, DirectoryFacts, LivingTask, ManifestFacts, TaskState
from querytask.names import DELETED, TERMINAL_PHASES, ExportState, Phase

UID = "uid-1"
NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
RULES = Rules(grace=HOUR, retention=7 * DAY)
FRESH, STILL, OLD = NOW - HOUR / 2, NOW - 2 * HOUR, NOW - 8 * DAY

VALID = ManifestFacts(1, NOW + HOUR)
EXPIRED = ManifestFacts(1, NOW)
UNREADABLE = ManifestFacts(None, None)

RUNNING = LivingTask(finished=False, attempt=1)
FINISHED = LivingTask(finished=True, attempt=1, completed_at=STILL)
EMPTY: dict[str, LivingTask] = {}


def directory(
    manifest: ManifestFacts | None = None, *attempts: AttemptFacts, newest: dt.datetime = STILL
) -> DirectoryFacts:
    newest = max([newest, *(attempt.newest for attempt in attempts)])
    return DirectoryFacts("analytics", UID, manifest, attempts or (attempt(1, newest=newest),), newest)


def attempt(number: int, partials: int = 0, newest: dt.datetime = STILL) -> AttemptFacts:
    return AttemptFacts(number, partials, newest)


def ended(phase: str = Phase.FAILED, at: dt.datetime = STILL, number: int = 1, **fields) -> TaskState:
    return TaskState(phase, number, at, **fields)


def going(phase: str = Phase.RUNNING, number: int = 1) -> TaskState:
    return TaskState(phase, number, None)


def done(actions: list[Action]) -> list[tuple[str, int | None]]:
    return [(action.kind, action.attempt) for action in actions]


WHOLE_EXPIRED = [(Kind.EXPIRED, None)]


@pytest.mark.parametrize(
    ("facts", "task", "cluster", "expected"),
    [
        # A manifest's own time rules, whoever remembers the task.
        pytest.param(directory(VALID, newest=OLD), None, EMPTY, [], id="kept: known to nobody, not expired"),
        pytest.param(directory(EXPIRED), None, EMPTY, WHOLE_EXPIRED, id="expired: known to nobody"),
        pytest.param(
            directory(EXPIRED), ended(Phase.SUCCEEDED), EMPTY, WHOLE_EXPIRED, id="expired: object gone"
        ),
        pytest.param(directory(EXPIRED), None, {UID: FINISHED}, WHOLE_EXPIRED, id="expired: history lost"),
        pytest.param(directory(EXPIRED), ended(DELETED), EMPTY, WHOLE_EXPIRED, id="expired: deleted"),
        pytest.param(
            directory(VALID),
            ended(Phase.SUCCEEDED, expires_at=OLD),
            EMPTY,
            [],
            id="kept: the manifest is right",
        ),
        pytest.param(
            directory(EXPIRED),
            ended(Phase.SUCCEEDED, expires_at=NOW + DAY),
            EMPTY,
            WHOLE_EXPIRED,
            id="expired: the manifest is right",
        ),
        # An end that only the mailbox tells is not removed before it is written down.
        pytest.param(
            directory(EXPIRED), going(), {UID: RUNNING}, [], id="kept: published, nobody has looked yet"
        ),
        pytest.param(directory(EXPIRED), going(), EMPTY, [], id="kept: row is not closed yet"),
        pytest.param(directory(EXPIRED), None, {UID: RUNNING}, [], id="kept: no row, object is not finished"),
        pytest.param(directory(EXPIRED), ended(), {UID: RUNNING}, [], id="kept: status is not written yet"),
        # While the API server cannot be asked.
        pytest.param(
            directory(EXPIRED),
            ended(Phase.SUCCEEDED),
            None,
            WHOLE_EXPIRED,
            id="cluster unknown: expired, finished",
        ),
        pytest.param(directory(EXPIRED), going(), None, [], id="cluster unknown: expired, unfinished"),
        pytest.param(directory(EXPIRED), None, None, [], id="cluster unknown: expired, no row"),
        pytest.param(directory(newest=OLD), None, None, [], id="cluster unknown: orphan"),
        pytest.param(directory(newest=OLD), ended(at=OLD), None, [], id="cluster unknown: ended"),
        pytest.param(directory(None, attempt(1, 3)), ended(), None, [], id="cluster unknown: partial files"),
        pytest.param(
            directory(VALID, attempt(1), attempt(2)),
            ended(Phase.SUCCEEDED),
            None,
            [],
            id="cluster unknown: attempts",
        ),
        # A manifest that cannot be read.
        pytest.param(directory(UNREADABLE), None, EMPTY, [], id="kept: unreadable"),
        pytest.param(
            directory(UNREADABLE, newest=OLD), None, EMPTY, WHOLE_EXPIRED, id="expired: unreadable, old"
        ),
        pytest.param(
            directory(UNREADABLE),
            ended(Phase.SUCCEEDED, expires_at=STILL),
            EMPTY,
            WHOLE_EXPIRED,
            id="expired: unreadable, the history knows",
        ),
        pytest.param(
            directory(UNREADABLE, newest=OLD),
            ended(Phase.SUCCEEDED, expires_at=NOW + DAY),
            EMPTY,
            [],
            id="kept: unreadable, the history knows",
        ),
        pytest.param(
            directory(UNREADABLE, attempt(1, 1), attempt(2)),
            ended(),
            EMPTY,
            [],
            id="kept: unreadable, so nobody knows whose attempt it was",
        ),
        pytest.param(
            directory(None),
            ended(Phase.SUCCEEDED, expires_at=STILL, export_state=ExportState.AVAILABLE),
            EMPTY,
            WHOLE_EXPIRED,
            id="expired: the manifest is lost, the history knows",
        ),
        # Orphans.
        pytest.param(directory(newest=STILL), None, EMPTY, [(Kind.ORPHAN, None)], id="orphan: still"),
        pytest.param(directory(newest=FRESH), None, EMPTY, [], id="kept: orphan, but fresh"),
        pytest.param(
            directory(None, attempt(1, newest=FRESH), newest=OLD),
            None,
            EMPTY,
            [],
            id="kept: orphan, fresh inside",
        ),
        pytest.param(directory(newest=NOW - HOUR), None, EMPTY, [(Kind.ORPHAN, None)], id="orphan: just so"),
        pytest.param(directory(newest=OLD), None, {UID: RUNNING}, [], id="kept: the cluster knows it"),
        pytest.param(directory(newest=OLD), going(), EMPTY, [], id="kept: the history knows it"),
        pytest.param(
            directory(newest=OLD), None, {"other": RUNNING}, [(Kind.ORPHAN, None)], id="orphan: others live"
        ),
        # Finished without a result.
        pytest.param(directory(), ended(), {UID: FINISHED}, [], id="kept: its log is of use"),
        pytest.param(
            directory(newest=OLD),
            ended(at=OLD),
            {UID: FINISHED},
            [(Kind.ENDED, None)],
            id="ended: retention over",
        ),
        pytest.param(directory(newest=OLD), ended(), EMPTY, [], id="kept: written long ago, ended just now"),
        pytest.param(
            directory(newest=FRESH), ended(at=OLD), EMPTY, [], id="kept: ended long ago, written just now"
        ),
        pytest.param(
            directory(newest=OLD), ended(DELETED, OLD), EMPTY, [(Kind.ENDED, None)], id="ended: deleted"
        ),
        pytest.param(
            directory(newest=OLD),
            None,
            {UID: LivingTask(finished=True, attempt=1, completed_at=OLD)},
            [(Kind.ENDED, None)],
            id="ended: history lost",
        ),
        # Partial files.
        pytest.param(
            directory(None, attempt(1, 2, FRESH)),
            ended(),
            EMPTY,
            [(Kind.PARTIALS, 1)],
            id="partials: failed, at once",
        ),
        pytest.param(
            directory(None, attempt(1, 2, FRESH)),
            ended(DELETED),
            EMPTY,
            [],
            id="kept: deleted, its pod may live",
        ),
        pytest.param(
            directory(None, attempt(1, 2)),
            ended(DELETED),
            EMPTY,
            [(Kind.PARTIALS, 1)],
            id="partials: deleted, still",
        ),
        pytest.param(
            directory(None, attempt(1, 2)),
            None,
            {UID: FINISHED},
            [(Kind.PARTIALS, 1)],
            id="partials: no row, still",
        ),
        pytest.param(
            directory(None, attempt(1, 2, FRESH)), None, {UID: FINISHED}, [], id="kept: no row, fresh"
        ),
        pytest.param(
            directory(None, attempt(1, 2, OLD)), going(), {UID: RUNNING}, [], id="kept: being written"
        ),
        pytest.param(
            directory(VALID, attempt(1, 1)),
            ended(Phase.SUCCEEDED),
            EMPTY,
            [(Kind.PARTIALS, 1)],
            id="partials: beside a result",
        ),
        # Attempts.
        pytest.param(
            directory(None, attempt(1), attempt(2, 1), attempt(3, 1, OLD)),
            going(number=3),
            {UID: LivingTask(finished=False, attempt=3)},
            [(Kind.ATTEMPT, 1), (Kind.ATTEMPT, 2)],
            id="attempts: before the current one",
        ),
        pytest.param(
            directory(None, attempt(1, newest=FRESH), attempt(2)),
            going(number=2),
            {UID: LivingTask(finished=False, attempt=2)},
            [],
            id="kept: an earlier attempt, but fresh",
        ),
        pytest.param(
            directory(None, attempt(1), attempt(2)),
            going(number=1),
            {UID: LivingTask(finished=False, attempt=1)},
            [],
            id="kept: the next attempt, of which the status does not tell yet",
        ),
        pytest.param(
            directory(VALID, attempt(1), attempt(2, 1, FRESH), attempt(3)),
            ended(Phase.SUCCEEDED, number=3),
            EMPTY,
            [(Kind.PARTIALS, 2), (Kind.ATTEMPT, 3)],
            id="attempts: but the published one",
        ),
        pytest.param(
            directory(ManifestFacts(1, NOW + HOUR), attempt(1), attempt(2)),
            going(number=2),
            {UID: LivingTask(finished=False, attempt=2)},
            [],
            id="kept: the published attempt, though a later one is current",
        ),
        pytest.param(
            directory(None, attempt(1), attempt(2)),
            ended(number=2),
            EMPTY,
            [(Kind.ATTEMPT, 1)],
            id="attempts: but the last",
        ),
        pytest.param(
            directory(None, attempt(1), attempt(2)),
            ended(number=0),
            EMPTY,
            [],
            id="kept: no attempt is known",
        ),
    ],
)
def test_plan(facts, task, cluster, expected) -> None:
    """One row of the table."""
    actions = plan(facts, task, cluster, NOW, RULES)
    assert done(actions) == expected
    assert all((action.namespace, action.uid) == ("analytics", UID) and action.why for action in actions)


times = st.integers(0, 20 * 24).map(lambda hours: NOW + 2 * DAY - hours * HOUR)
manifests = st.none() | st.just(UNREADABLE) | st.builds(ManifestFacts, st.integers(1, 3), times)
attempts = st.lists(
    st.builds(AttemptFacts, st.integers(1, 3), st.integers(0, 2), times),
    max_size=3,
    unique_by=lambda a: a.number,
)
directories = st.builds(lambda manifest, tries: directory(manifest, *tries), manifests, attempts)
phases = st.sampled_from([*Phase, DELETED])
states = st.none() | st.builds(
    lambda phase, number, at: TaskState(phase, number, at if phase in {*TERMINAL_PHASES, DELETED} else None),
    phases,
    st.integers(0, 3),
    times,
)
living = st.none() | st.builds(LivingTask, st.booleans(), st.integers(0, 3), st.none() | times)


@given(directories, states, living, st.booleans())
def test_what_must_never_be_removed_never_is(
    facts: DirectoryFacts, task: TaskState | None, object_: LivingTask | None, asked: bool
) -> None:
    """The three rules, for every state of the world."""
    cluster = None if not asked else {UID: object_} if object_ else {}
    actions = plan(facts, task, cluster, NOW, RULES)
    kinds = {action.kind for action in actions}
    unfinished = (task and task.completed_at is None) or (asked and object_ and not object_.finished)

    if facts.manifest and facts.manifest.expires_at and facts.manifest.expires_at > NOW:
        assert not any(action.attempt is None for action in actions), "a result whose time is not over"
    if facts.manifest:
        assert Kind.ORPHAN not in kinds
        assert not any(a.kind is Kind.ATTEMPT and a.attempt == facts.manifest.attempt for a in actions)
    if unfinished:
        current = max(task.attempt if task else 0, object_.attempt if asked and object_ else 0)
        assert kinds <= {Kind.ATTEMPT}
        assert all((action.attempt or 0) < current for action in actions)
    if not asked:
        assert kinds <= {Kind.EXPIRED}
        assert not actions or (task and task.completed_at)
    if task or (asked and object_):
        assert Kind.ORPHAN not in kinds
    if any(action.attempt is None for action in actions):
        assert len(actions) == 1, "what goes as a whole needs no more"


@given(directories, states, living)
def test_time_only_adds(facts: DirectoryFacts, task: TaskState | None, object_: LivingTask | None) -> None:
    """What may go now may go later: a run that is late removes no less than one in time."""
    cluster = {UID: object_} if object_ else {}
    for early, late in itertools.pairwise(NOW + DAY * days for days in (0, 1, 8)):
        first, second = plan(facts, task, cluster, early, RULES), plan(facts, task, cluster, late, RULES)
        whole = any(action.attempt is None for action in second)
        assert whole or {action.attempt for action in first} <= {action.attempt for action in second}
