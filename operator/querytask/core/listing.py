"""What a list of tasks is asked for: a filter, an order, and a place to go on from.

For the REST API, which makes these from a request, and for the history, which answers them. Plain values, so
that both can be tested without the other: no SQL here, and nothing of HTTP.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

PAGE_SIZE = 50
"""Tasks on a page that names no size."""
MAX_PAGE_SIZE = 1000
MAX_OFFSET = 10_000
"""The furthest that ``offset`` may go; a cursor goes anywhere."""
MAX_UIDS = 10_000
"""The most tasks that one question may name."""


class QuestionRefused(ValueError):
    """A question that cannot be answered as it is asked: a sentence, and the field and the value that it is
    about. Never a fault of who answers."""

    def __init__(self, sentence: str, *, field: str, value: Any) -> None:
        super().__init__(sentence)
        self.field = field
        self.value = value


class Order(enum.StrEnum):
    """What tasks are ordered by. Between equal ones decides which was created, or became known, first."""

    CREATED = "created"
    UPDATED = "updated"
    """``updated_at``: the order in which the changes were written, whatever the clock did."""
    DURATION = "duration"
    """``execution_seconds``; a task without one counts as shorter than any other."""
    FINISHED = "finished"
    """``completed_at``; a task that has no end counts as finished before any other."""
    NAME = "name"
    """As the bytes of the name compare; the order in which ``name_prefix`` is quick on any page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """All that is given must hold. An empty set, an empty text and ``None`` ask for nothing."""

    namespace: str
    phases: frozenset[str] = frozenset()
    """Values of ``names.Phase``, or ``names.DELETED``."""
    owner: str | None = None
    export_states: frozenset[str] = frozenset()
    """Values of ``names.ExportState``; ``NotApplicable`` holds for a task that published no file, too."""
    name_prefix: str = ""
    text: str = ""
    """Words that must all stand in the SQL, in any order; what stands between words does not count. A word
    that ends in ``*`` stands for every word that begins so. Refused (``QuestionRefused``) where it has no
    word."""
    created_since: dt.datetime | None = None
    created_until: dt.datetime | None = None
    """Exclusive, as ``finished_until``."""
    finished_since: dt.datetime | None = None
    finished_until: dt.datetime | None = None
    uids: tuple[str, ...] | None = None
    """At most ``MAX_UIDS``. Then all that match are one page, in the order that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which part of the list. ``cursor`` and ``offset`` are never given together."""

    order: Order = Order.CREATED
    descending: bool = True
    limit: int = PAGE_SIZE
    cursor: str | None = None
    """``Page.next`` or ``Page.previous`` of an earlier page; it holds the order, the direction and the
    place, and is refused (``QuestionRefused``) where it is damaged or belongs to another order."""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of the list, always in the order that was asked for, whichever way one came to it."""

    items: tuple[T, ...]
    next: str | None
    """The cursor of what follows; ``None`` at the end."""
    previous: str | None
    """The cursor of what comes before; ``None`` at the beginning."""
