"""Every refusal of the API, and the one place that makes an answer of an exception: RFC 9457, with a stable
``code`` from a closed set.

``Code`` is that set: a client may rely on it, so a code never changes its meaning or its status. Whoever
writes a route raises ``Refusal``, or lets an error of this package pass; what both become is said here.
"""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from querytask import errors

log = logging.getLogger("querytask.web")

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "tag:querytask.dev,2026:problems/"
VALUE_CHARACTERS = 200
"""How much of a refused value is shown."""
MOST_FAULTS = 20
CAUSE_CHARACTERS = 500
"""How much of a cause is logged."""


class Code(enum.StrEnum):
    """What went wrong; its status and meaning are in ``CODES``."""

    MALFORMED_REQUEST = "MalformedRequest"
    TASK_FINISHED = "TaskFinished"
    UNAUTHENTICATED = "Unauthenticated"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    TASK_NOT_FOUND = "TaskNotFound"
    NOTHING_THERE = "NothingThere"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    REQUEST_TIMEOUT = "RequestTimeout"
    CONFLICT = "Conflict"
    ALREADY_EXISTS = "AlreadyExists"
    KEY_REUSED = "IdempotencyKeyReused"
    NOT_YET = "NotYet"
    EXPORT_GONE = "ExportGone"
    BODY_TOO_LARGE = "BodyTooLarge"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
    INVALID = "Invalid"
    QUERY_TOO_SLOW = "QueryTooSlow"
    TOO_MANY_REQUESTS = "TooManyRequests"
    INTERNAL = "Internal"
    STORE_UNAVAILABLE = "StoreUnavailable"
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    EXPORTS_UNAVAILABLE = "ExportsUnavailable"
    OVERLOADED = "Overloaded"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The status of a code, and what it means to a caller."""

    status: int
    text: str


CODES: Mapping[Code, Meaning] = {
    Code.MALFORMED_REQUEST: Meaning(400, "The request is no HTTP, or its body no JSON."),
    Code.TASK_FINISHED: Meaning(400, "The task has its end; it can no longer be cancelled."),
    Code.UNAUTHENTICATED: Meaning(401, "There is no bearer token, or the cluster does not know it."),
    Code.FORBIDDEN: Meaning(403, "The cluster gives the caller no right to do this."),
    Code.NOT_FOUND: Meaning(404, "There is no such call."),
    Code.TASK_NOT_FOUND: Meaning(404, "There is no such task, or none that the caller may read."),
    Code.NOTHING_THERE: Meaning(404, "The task has nothing of this kind: no export, no result, no log."),
    Code.METHOD_NOT_ALLOWED: Meaning(405, "The call is known, but not with this method; `Allow` names them."),
    Code.REQUEST_TIMEOUT: Meaning(408, "The body did not arrive in time."),
    Code.CONFLICT: Meaning(409, "Somebody else has changed the task since; look at it and try again."),
    Code.ALREADY_EXISTS: Meaning(409, "A task of that name is there."),
    Code.KEY_REUSED: Meaning(409, "The `Idempotency-Key` was used before, with another body."),
    Code.NOT_YET: Meaning(409, "The task has no result yet; wait for its end."),
    Code.EXPORT_GONE: Meaning(410, "The exported file was removed: its time was over, or somebody did it."),
    Code.BODY_TOO_LARGE: Meaning(413, "The body is longer than a request may be."),
    Code.UNSUPPORTED_MEDIA_TYPE: Meaning(415, "The body must be `application/json`."),
    Code.INVALID: Meaning(422, "A field is not as it must be; `field` and `value` say which, `detail` how."),
    Code.QUERY_TOO_SLOW: Meaning(
        422, "The filter and the order together take too long; ask for less, or in another order."
    ),
    Code.TOO_MANY_REQUESTS: Meaning(429, "Too many requests at one time; `Retry-After` says when to return."),
    Code.INTERNAL: Meaning(500, "A fault of the API; the log has it under the request's id."),
    Code.STORE_UNAVAILABLE: Meaning(503, "The history cannot be read or written now."),
    Code.CLUSTER_UNAVAILABLE: Meaning(
        503, "The API server cannot be asked now; without it nobody is let in."
    ),
    Code.EXPORTS_UNAVAILABLE: Meaning(
        503, "The exports volume cannot be read now, or does not answer in time."
    ),
    Code.OVERLOADED: Meaning(503, "The API has no connection free."),
}


class Fault(BaseModel):
    """One field that is not as it must be."""

    field: str
    detail: str
    value: Any = None


class Problem(BaseModel):
    """What every refusal looks like (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    type: str = Field(description="An identifier of `code`; not an address.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="A sentence for a person: what must be, and what was found.")
    code: Code = Field(description="What went wrong, for a program; the set is closed.")
    field: str | None = Field(None, description="The field at fault, where one is.")
    value: Any = Field(None, description="What the field held, cut to 200 characters.")
    faults: list[Fault] | None = Field(None, description="All fields at fault, where there are several.")
    instance: str | None = Field(None, description="The request's id, as in `X-Request-Id` and the log.")


class Refusal(Exception):
    """A request is refused: raised by a route, answered by ``answer_to``.

    ``retry_after`` is in seconds; ``headers`` go into the answer as they are.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        field: str | None = None,
        value: Any = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        faults: list[Fault] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.field, self.value = code, detail, field, shown(value)
        self.retry_after, self.headers, self.faults = retry_after, dict(headers or {}), faults

    @property
    def status(self) -> int:
        """The HTTP status of its code."""
        return CODES[self.code].status


def shown(value: Any) -> Any:
    """As much of a refused value as an answer shows."""
    if value is None or isinstance(value, (bool, int)):
        return value if not isinstance(value, int) or abs(value) < 2**53 else str(value)[:VALUE_CHARACTERS]
    if isinstance(value, float) and math.isfinite(value):
        return value
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"


def refusal_of(error: BaseException) -> Refusal:
    """What an exception means to the caller: the one table of it."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        # The framework takes what is raised while a body is read for a fault of the body.
        inner = error.__cause__
        return inner if isinstance(inner, Refusal) else _of_framework(error)
    if isinstance(error, errors.ClusterError):
        return _of_cluster(error)
    if isinstance(error, errors.StoreError):
        return _of_store(error)
    if isinstance(error, errors.ExportsVolumeError):
        return Refusal(Code.EXPORTS_UNAVAILABLE, "the exports volume cannot be read now", retry_after=5)
    return Refusal(Code.INTERNAL, "the API has a fault; its log says more under this request's id")


def noted(error: BaseException) -> Refusal:
    """``refusal_of``, with a line of the log for what is not the caller's doing: a caller is told that the
    history is away, an administrator that it is full, damaged or locked."""
    refusal = refusal_of(error)
    if refusal.status < 500:
        return refusal
    if not isinstance(error, errors.QueryTaskError | Refusal):
        log.error("A request met a fault", exc_info=error)
    elif not isinstance(error, Refusal) or error.__cause__ is not None:
        level = logging.ERROR if refusal.code is Code.INTERNAL else logging.WARNING
        log.log(level, "A request was answered %d %s: %s", refusal.status, refusal.code, _causes(error))
    return refusal


def _causes(error: BaseException) -> str:
    """The exception and what it came from; their sentences are ours, the system's and the database's, none
    of which shows a token or a query."""
    told: list[str] = []
    found: BaseException | None = error
    while found is not None and len(told) < 3:
        fault = getattr(found, "fault", "")
        told.append(f"{type(found).__name__}{f' ({fault})' if fault else ''}: {found}")
        found = found.__cause__
    text = "; from ".join(told)
    return text if len(text) <= CAUSE_CHARACTERS else text[:CAUSE_CHARACTERS] + "…"


def _of_cluster(error: errors.ClusterError) -> Refusal:
    message = str(error)
    if isinstance(error, errors.Unauthenticated):
        return unauthenticated("the bearer token must be one that the cluster accepts")
    if isinstance(error, errors.TooManyRequests):
        return Refusal(Code.TOO_MANY_REQUESTS, message, retry_after=error.retry_after)
    if isinstance(error, errors.QuotaExceeded):
        return Refusal(Code.FORBIDDEN, message)
    if isinstance(error, errors.Invalid):
        return of_causes(message, error.causes)
    table: tuple[tuple[type[errors.ClusterError], Code], ...] = (
        (errors.Forbidden, Code.FORBIDDEN),
        (errors.NotFound, Code.TASK_NOT_FOUND),
        (errors.AlreadyExists, Code.ALREADY_EXISTS),
        (errors.Conflict, Code.CONFLICT),
    )
    for kind, code in table:
        if isinstance(error, kind):
            return Refusal(code, message)
    return Refusal(Code.CLUSTER_UNAVAILABLE, "the API server cannot be asked now", retry_after=2)


def of_causes(message: str, causes: Sequence[tuple[str, str]]) -> Refusal:
    """A 422 for fields of which the cluster has said what they must be."""
    return of_faults(message, [Fault(field=field, detail=detail) for field, detail in causes])


def of_faults(message: str, found: Sequence[Fault]) -> Refusal:
    """The same for faults with what the fields held; ``message`` is the sentence where there are none."""
    faults = list(found[:MOST_FAULTS])
    if not faults:
        return Refusal(Code.INVALID, message)
    first, listed = faults[0], faults if len(faults) > 1 else None
    detail = f"{first.field}: {first.detail}"
    return Refusal(Code.INVALID, detail, field=first.field, value=first.value, faults=listed)


def _of_store(error: errors.StoreError) -> Refusal:
    if isinstance(error, errors.StoreTooSlow):
        return Refusal(Code.QUERY_TOO_SLOW, CODES[Code.QUERY_TOO_SLOW].text)
    if isinstance(error, errors.StoreUnavailable | errors.StoreCorrupt | errors.StoreSchemaTooNew):
        return Refusal(Code.STORE_UNAVAILABLE, "the history cannot be read or written now", retry_after=5)
    return Refusal(Code.INTERNAL, "the history did not do as asked; the API's log says more")


def _of_framework(error: HTTPException) -> Refusal:
    codes = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.BODY_TOO_LARGE}
    code = codes.get(error.status_code, Code.MALFORMED_REQUEST)
    details = {
        404: "there is no such call; the reference of the REST API lists them",
        405: "the call must be made with another method",
    }
    return Refusal(code, details.get(error.status_code, str(error.detail)), headers=error.headers)


def _of_validation(error: RequestValidationError) -> Refusal:
    faults = [_fault(item) for item in error.errors()[:MOST_FAULTS]]
    first = faults[0]
    kind, place = error.errors()[0]["type"], error.errors()[0]["loc"]
    if kind == "json_invalid":
        return Refusal(Code.MALFORMED_REQUEST, "the body must be JSON: " + first.detail, field="body")
    if place == ("body",) and kind in ("missing", "model_attributes_type", "dict_type"):
        return Refusal(Code.INVALID, "the body must be a JSON object", field="body", value=first.value)
    detail = f"{first.field}: {first.detail}"
    listed = faults if len(faults) > 1 else None
    return Refusal(Code.INVALID, detail, field=first.field, value=first.value, faults=listed)


def _fault(item: Mapping[str, Any]) -> Fault:
    # A part in angle brackets is one of several forms of a body, which the caller did not write.
    place = [str(part) for part in item["loc"] if part not in ("query", "path", "header")]
    place = [part for part in place if not part.startswith("<")]
    inside = place[1:] if place[:1] == ["body"] and len(place) > 1 else place
    missing = item["type"] == "missing"
    return Fault(
        field=".".join(inside) or "body",
        detail=str(item["msg"]).removeprefix("Value error, "),
        value=None if missing else shown(item.get("input")),
    )


def unauthenticated(detail: str) -> Refusal:
    """A 401, which has to say what is expected (RFC 6750)."""
    return Refusal(Code.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": 'Bearer realm="querytask"'})


def answer_to(refusal: Refusal, request_id: str | None = None) -> Response:
    """The HTTP answer."""
    problem = Problem(
        type=TYPE_PREFIX + refusal.code,
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        detail=refusal.detail,
        code=refusal.code,
        field=refusal.field,
        value=refusal.value,
        faults=refusal.faults,
        instance=request_id,
    )
    headers = dict(refusal.headers)
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after)))
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, refusal.status, headers, MEDIA_TYPE)


def documented(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that may refuse with these codes, beside those that every call may."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in sorted({*codes, *EVERYWHERE}, key=lambda item: (CODES[item].status, item)):
        status = CODES[code].status
        entry = found.setdefault(
            status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        text = f"`{code}`: {CODES[code].text}"
        entry["description"] = f"{entry['description']} {text}".strip()
    return found


EVERYWHERE = (
    Code.MALFORMED_REQUEST,
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.REQUEST_TIMEOUT,
    Code.BODY_TOO_LARGE,
    Code.INVALID,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL,
    Code.STORE_UNAVAILABLE,
    Code.CLUSTER_UNAVAILABLE,
    Code.OVERLOADED,
)
"""What any call that needs a token may answer."""
