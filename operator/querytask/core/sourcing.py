"""Whether a QuerySource can be used: what its condition ``Ready`` says, and what a task that names it is
told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from querytask.api.metadata import Condition, set_condition
from querytask.api.source import READY, QuerySource, SourceStatus
from querytask.core.observed import SourceState
from querytask.names import Reason, SourceReason
from querytask.settings import Settings


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ready or not, why, and the same in a sentence."""

    ready: bool
    reason: SourceReason
    message: str


def verdict(source: QuerySource, claims: Collection[str], settings: Settings) -> Verdict:
    """Whether the source's claim is there, and not one of the operator's own."""
    claim = source.spec.volume.claim_name if source.spec.volume else ""
    if claim == settings.exports_claim or claim in settings.reserved_claims:
        message = f'spec.volume.claimName must not be "{claim}": that volume is the operator\'s own'
        return Verdict(False, SourceReason.CLAIM_RESERVED, message)
    if claim not in claims:
        return Verdict(
            False,
            SourceReason.CLAIM_NOT_FOUND,
            f'PersistentVolumeClaim "{claim}" must exist; it is not there',
        )
    return Verdict(True, SourceReason.CLAIM_FOUND, f'PersistentVolumeClaim "{claim}" is there')


def state(name: str, source: QuerySource | None, claims: Collection[str], settings: Settings) -> SourceState:
    """What a task that names the source has to know."""
    if source is None:
        return SourceState(name, Reason.SOURCE_NOT_FOUND, f'QuerySource "{name}" must exist; it is not there')
    found = verdict(source, claims, settings)
    if found.ready:
        return SourceState(name)
    return SourceState(name, Reason.SOURCE_NOT_READY, f'QuerySource "{name}" is not ready: {found.message}')


def status(source: QuerySource, found: Verdict, now: dt.datetime) -> SourceStatus:
    """The status that the source is to have."""
    ready = Condition(
        type=READY,
        status="True" if found.ready else "False",
        reason=found.reason,
        message=found.message,
        last_transition_time=now.replace(microsecond=0),
        observed_generation=source.metadata.generation,
    )
    conditions = set_condition(source.status.conditions, ready)
    return SourceStatus(conditions=conditions, observed_generation=source.metadata.generation)
