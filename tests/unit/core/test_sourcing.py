"""Whether a source can be used, as its own status and the tasks that name it are told."""

from __future__ import annotations

import pytest

from querytask.core import sourcing
from querytask.names import Reason, SourceReason
from tests import builders as make

SETTINGS = make.settings(exports_claim="exports", reserved_claims=("history",))


@pytest.mark.parametrize(
    ("claim", "claims", "reason"),
    [
        ("lake", {"lake"}, SourceReason.CLAIM_FOUND),
        ("lake", {}, SourceReason.CLAIM_NOT_FOUND),
        ("lake", {"other"}, SourceReason.CLAIM_NOT_FOUND),
        ("exports", {"exports"}, SourceReason.CLAIM_RESERVED),
        ("history", {"history"}, SourceReason.CLAIM_RESERVED),
        ("history", {}, SourceReason.CLAIM_RESERVED),
    ],
)
def test_verdict(claim, claims, reason):
    """Its claim must exist, and must not be one of the operator's own."""
    found = sourcing.verdict(make.source(claimName=claim), claims, SETTINGS)
    assert (found.reason, found.ready) == (reason, reason is SourceReason.CLAIM_FOUND)
    assert f'"{claim}"' in found.message


def test_what_a_task_is_told():
    """Usable, not there, or there but not ready; each in a sentence that names the source."""
    assert sourcing.state("flights", make.source(), {"lake"}, SETTINGS).problem is None
    lost = sourcing.state("flights", None, {"lake"}, SETTINGS)
    assert (lost.problem, lost.message) == (
        Reason.SOURCE_NOT_FOUND,
        'QuerySource "flights" must exist; it is not there',
    )
    unready = sourcing.state("flights", make.source(), {}, SETTINGS)
    assert unready.problem is Reason.SOURCE_NOT_READY
    assert unready.message.startswith('QuerySource "flights" is not ready: PersistentVolumeClaim "lake"')


def test_the_status_of_a_source():
    """One condition, with the generation that it was made for; its time moves only with its status."""
    source = make.source()
    found = sourcing.status(source, sourcing.verdict(source, {}, SETTINGS), make.ago(30.5))
    assert found.document() == {
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "ClaimNotFound",
                "message": 'PersistentVolumeClaim "lake" must exist; it is not there',
                "lastTransitionTime": "2026-11-22T11:59:29Z",
                "observedGeneration": 3,
            }
        ],
        "observedGeneration": 3,
    }
    told = source.model_copy(update={"status": found})
    assert sourcing.status(told, sourcing.verdict(told, {}, SETTINGS), make.NOW) == found
    ready = sourcing.status(told, sourcing.verdict(told, {"lake"}, SETTINGS), make.NOW)
    assert ready.conditions[0].last_transition_time == make.NOW
