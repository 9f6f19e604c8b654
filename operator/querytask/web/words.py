"""The words of the API for what the cluster and the history call otherwise: one table of each kind, read both
ways.

    status         one word for each phase, and ``deleted``; filters ignore case and take ``success``, too
    state          the coarse word: wait, run, done, error
    export_status  what became of the exported file

For the views, which say them, and the filters, which understand them. A test holds the tables to
``names.Phase``, ``names.DELETED`` and ``names.ExportState``: none may lack a word.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from querytask.names import DELETED, ExportState, Phase


class Status(enum.StrEnum):
    """How a task is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class State(enum.StrEnum):
    """The same in four words."""

    WAIT = "wait"
    RUN = "run"
    DONE = "done"
    ERROR = "error"


class ExportStatus(enum.StrEnum):
    """What became of a task's exported file."""

    AVAILABLE = "available"
    EXPIRED = "expired"
    DELETED = "deleted"
    NOT_APPLICABLE = "not_applicable"


class Words(NamedTuple):
    """The two words for a phase."""

    status: Status
    state: State


PHASES: Mapping[str, Words] = {
    Phase.QUEUED: Words(Status.QUEUED, State.WAIT),
    Phase.RUNNING: Words(Status.RUNNING, State.RUN),
    Phase.SUCCEEDED: Words(Status.SUCCEEDED, State.DONE),
    Phase.FAILED: Words(Status.FAILED, State.ERROR),
    Phase.CANCELLING: Words(Status.CANCELLING, State.RUN),
    Phase.CANCELLED: Words(Status.CANCELLED, State.ERROR),
    DELETED: Words(Status.DELETED, State.ERROR),
}
EXPORTS: Mapping[ExportState, ExportStatus] = {
    ExportState.AVAILABLE: ExportStatus.AVAILABLE,
    ExportState.EXPIRED: ExportStatus.EXPIRED,
    ExportState.DELETED: ExportStatus.DELETED,
    ExportState.NOT_APPLICABLE: ExportStatus.NOT_APPLICABLE,
}
ALSO: Mapping[str, Status] = {"success": Status.SUCCEEDED}
"""Other words that filters take for a status."""

E = TypeVar("E", bound=enum.StrEnum)


def status_of(phase: str) -> Status:
    """The status of a phase."""
    return PHASES[phase].status


def state_of(phase: str) -> State:
    """The state of a phase."""
    return PHASES[phase].state


def export_status_of(state: str | None) -> ExportStatus:
    """The word for an export's state; of a task without one, ``not_applicable``."""
    return ExportStatus.NOT_APPLICABLE if state is None else EXPORTS[ExportState(state)]


def phases_of(statuses: Iterable[str], states: Iterable[str]) -> frozenset[str]:
    """The phases that a filter asks for; with both kinds of words those that both ask for, which may be
    none. Without words there is no such filter, and the set is empty, too.

    Raises ``ValueError`` with a sentence for a word that is none.
    """
    by_status, by_state = set(_statuses(statuses)), set(_states(states))
    return frozenset(
        phase
        for phase, words in PHASES.items()
        if (by_status or by_state)
        and (not by_status or words.status in by_status)
        and (not by_state or words.state in by_state)
    )


def export_states_of(words: Iterable[str]) -> frozenset[str]:
    """The states of exports that a filter asks for; raises ``ValueError`` for a word that is none."""
    wanted = {_word(ExportStatus, text, "export_status") for text in words}
    return frozenset(state for state, word in EXPORTS.items() if word in wanted)


def split(texts: Iterable[str]) -> list[str]:
    """The words in texts that part them by commas or spaces."""
    return [word for text in texts for word in text.replace(",", " ").split()]


def _statuses(texts: Iterable[str]) -> list[Status]:
    return [ALSO.get(text.lower()) or _word(Status, text, "status") for text in texts]


def _states(texts: Iterable[str]) -> list[State]:
    return [_word(State, text, "state") for text in texts]


def _word(kind: type[E], text: str, field: str) -> E:
    try:
        return kind(text.lower())
    except ValueError:
        known = ", ".join(kind)
        raise ValueError(f'{field} must be one of {known}, not "{text[:100]}"') from None
