"""What a list may be asked for: the parameters of ``GET /tasks`` and the body of ``POST /tasks/query``, which
are one model, and what they mean to the history."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from querytask.core.listing import (
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_UIDS,
    PAGE_SIZE,
    Order,
    PageRequest,
    TaskFilter,
)
from querytask.web import words
from querytask.web.problems import Code, Refusal

MAX_UIDS_IN_ADDRESS = 200
"""The most ``task_ids`` of a GET: an address has a length that proxies bound."""
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)")


def _time(given: Any) -> Any:
    """Refuse what the model would take for seconds since 1970: nobody means that by ``2026``."""
    if given is not None and not (isinstance(given, str) and TIME.fullmatch(given)):
        raise ValueError("must be a time with its zone, such as 2026-01-31T12:00:00Z")
    return given


Time = Annotated[AwareDatetime, BeforeValidator(_time)]
UIDS = "Uids of tasks. All that match come as one page, without a cursor; an empty list matches none."
WORD = Annotated[str, Field(max_length=200)]
MAX_WORDS = 50


class ListQuery(BaseModel):
    """A filter, an order, and a part of the list. All filters that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    status: list[WORD] = Field(
        [],
        max_length=MAX_WORDS,
        description="Any of queued, running, succeeded (or success), failed, cancelling, cancelled, deleted;"
        " in any case, several parted by commas or spaces, or given several times.",
    )
    state: list[WORD] = Field(
        [], max_length=MAX_WORDS, description="Any of the coarse words wait, run, done, error; as `status`."
    )
    owner: str | None = Field(None, max_length=253, description="Exactly this owner.")
    user_id: str | None = Field(None, max_length=253, description="The same as `owner`.")
    export_status: list[WORD] = Field(
        [],
        max_length=MAX_WORDS,
        description="Any of available, expired, deleted, not_applicable; as `status`.",
    )
    name_prefix: str = Field("", max_length=253, description="What the name begins with.")
    text: str = Field(
        "",
        max_length=1000,
        description="Words (of letters, digits and `_`) that must all stand in the SQL, in any order; `late*`"
        " is all that begins so.",
    )
    created_since: Time | None = None
    created_until: Time | None = Field(None, description="Exclusive, as `finished_until`.")
    finished_since: Time | None = None
    finished_until: Time | None = None
    task_ids: list[Annotated[str, Field(max_length=8000)]] = Field(
        default_factory=list,  # not told as the default: whoever sends an empty list means something else
        max_length=MAX_UIDS_IN_ADDRESS,
        description=f"{UIDS} At most {MAX_UIDS_IN_ADDRESS}, parted by commas or spaces, or given one by one.",
    )
    order_by: Order = Field(Order.CREATED, description="What the tasks are ordered by.")
    descending: bool = Field(True, description="The newest, or longest, first.")
    limit: int | None = Field(None, ge=1, le=MAX_PAGE_SIZE, description=f"Tasks on a page; {PAGE_SIZE}.")
    cursor: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="`next_cursor` or `previous_cursor` of an earlier page.",
    )
    offset: int | None = Field(
        None, ge=0, le=MAX_OFFSET, description="How many tasks to leave out; prefer `cursor`."
    )
    page: int | None = Field(
        None, ge=1, le=MAX_OFFSET + 1, description="Counted from 1; instead of `offset`."
    )
    page_size: int | None = Field(None, ge=1, le=MAX_PAGE_SIZE, description="The same as `limit`.")
    count: bool = Field(False, description="Whether to count all tasks that match, which takes longer.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """Two fields that say the same must not say different things."""
        if self.owner is not None and self.user_id not in (None, self.owner):
            raise ValueError("owner and user_id must be the same where both are given")
        if self.limit is not None and self.page_size not in (None, self.limit):
            raise ValueError("limit and page_size must be the same where both are given")
        if self.offset is not None and self.page is not None:
            raise ValueError("only one of offset and page may be given")
        if self.cursor is not None and (self.offset is not None or self.page is not None):
            raise ValueError("with cursor there must be neither offset nor page: the cursor has the place")
        if self.by_uids and (self.cursor is not None or self.offset or (self.page or 1) > 1):
            raise ValueError("with task_ids there must be no cursor, no offset and no page but 1")
        return self

    @property
    def by_uids(self) -> bool:
        """Whether tasks are named by their uids: an empty list names none, and is not the same as no list."""
        return "task_ids" in self.model_fields_set

    @property
    def size(self) -> int:
        """Tasks on a page."""
        return self.limit or self.page_size or PAGE_SIZE

    @property
    def start(self) -> int:
        """How many tasks are left out."""
        return self.offset if self.offset is not None else ((self.page or 1) - 1) * self.size

    def page_number(self) -> int | None:
        """The page's number, where the start is one of a page."""
        if self.by_uids:
            return 1
        return None if self.cursor is not None or self.start % self.size else self.start // self.size + 1

    def request(self) -> PageRequest:
        """The part of the list that is asked for."""
        if self.start > MAX_OFFSET:
            detail = f"page and page_size must lead to at most the offset {MAX_OFFSET}: use cursor beyond it"
            raise Refusal(Code.INVALID, detail, field="page", value=self.page)
        order = {"order": self.order_by, "descending": self.descending}
        if self.by_uids:
            return PageRequest(**order)  # type: ignore[arg-type]
        return PageRequest(**order, limit=self.size, cursor=self.cursor, offset=self.start)  # type: ignore[arg-type]

    def filter(self, namespace: str, most_uids: int) -> TaskFilter | None:
        """What is asked for; ``None`` where no task can match. Raises a 422."""
        statuses, states = words.split(self.status), words.split(self.state)
        exports = words.split(self.export_status)
        phases = _read("status", lambda: words.phases_of(statuses, states), statuses + states)
        uids = _uids(self.task_ids, most_uids) if self.by_uids else None
        if uids == () or ((statuses or states) and not phases):
            return None
        return TaskFilter(
            namespace=namespace,
            phases=phases,
            owner=self.owner if self.owner is not None else self.user_id,
            export_states=_read("export_status", lambda: words.export_states_of(exports), exports),
            name_prefix=self.name_prefix,
            text=self.text,
            created_since=self.created_since,
            created_until=self.created_until,
            finished_since=self.finished_since,
            finished_until=self.finished_until,
            uids=uids,
        )


class ListBody(ListQuery):
    """The same as JSON, with room for more uids."""

    task_ids: list[Annotated[str, Field(max_length=63)]] = Field(
        default_factory=list, max_length=MAX_UIDS, description=f"{UIDS} At most {MAX_UIDS}."
    )


def _uids(texts: list[str], most: int) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(words.split(texts)))
    if len(found) > most:
        raise Refusal(
            Code.INVALID,
            f"task_ids must be at most {most}, not {len(found)}",
            field="task_ids",
            value=len(found),
        )
    return found


def _read(field: str, read: Any, value: list[str]) -> Any:
    try:
        return read()
    except ValueError as error:
        name = str(error).partition(" ")[0]
        raise Refusal(Code.INVALID, str(error), field=name or field, value=" ".join(value)) from None
