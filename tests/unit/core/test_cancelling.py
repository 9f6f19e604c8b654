"""The clock of a cancellation."""

from __future__ import annotations

import pytest

from querytask.core import cancelling, conclusion
from querytask.names import CancelStep, Phase, Reason
from tests import builders as make
from tests.unit.core.deciding import at, requested

NOW = make.NOW
SETTINGS = make.settings(stop_grace_seconds=20, timeout_margin_seconds=5)
CANCELLED = conclusion.cancelled(CancelStep.INTERRUPTED, None)


@pytest.mark.parametrize(
    ("phase", "asked", "overdue"),
    [
        (Phase.CANCELLING, 24, False),
        (Phase.CANCELLING, 25, True),
        (Phase.RUNNING, 1000, False),
        (Phase.QUEUED, 1000, False),
    ],
)
def test_overdue(phase, asked, overdue):
    """After grace and margin, counted from the request, and only while the object says Cancelling."""
    o = make.observed(at(phase, attempt=1, started_at=make.ago(5000), cancel=requested(asked)))
    assert cancelling.overdue(o, NOW, SETTINGS) is overdue


def test_a_first_look_is_never_overdue():
    """Without a request on record it begins now."""
    o = make.observed(at(Phase.CANCELLING, attempt=1))
    assert cancelling.requested_at(o, NOW) == NOW
    assert not cancelling.overdue(o, NOW, SETTINGS)


@pytest.mark.parametrize(
    ("asked", "ended", "reason"),
    [
        (10, None, Reason.CANCEL_REQUESTED),
        (60, None, Reason.CANCEL_TIMEOUT),
        (60, 50, Reason.CANCEL_REQUESTED),
        (60, 35, Reason.CANCEL_TIMEOUT),
    ],
)
def test_the_name_of_the_end(asked, ended, reason):
    """CancelTimeout only where no stop is known to have worked in time."""
    o = make.observed(at(Phase.CANCELLING, attempt=1, cancel=requested(asked)))
    end = conclusion.cancelled(CancelStep.INTERRUPTED, None if ended is None else make.ago(ended))
    found = cancelling.named(o, end, NOW, SETTINGS)
    assert found.reason is reason
    assert found.cancel_step is (
        CancelStep.KILLED if reason is Reason.CANCEL_TIMEOUT else CancelStep.INTERRUPTED
    )


def test_another_end_keeps_its_name():
    """A task that had failed has not been cancelled too late."""
    o = make.observed(at(Phase.CANCELLING, attempt=1, cancel=requested(1000)))
    failed = conclusion.failed(Reason.SQL_ERROR, "no such table")
    assert cancelling.named(o, failed, NOW, SETTINGS) == failed
