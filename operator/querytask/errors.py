"""The errors of the operator. No client library's error crosses the edge of its adapter: it is translated
there.

    QueryTaskError
    ├── SettingsError           a setting is missing, unknown or out of its bounds: no start
    ├── ObjectInvalid           an object of the cluster does not fit our models
    ├── ClusterError            the API server did not do as asked
    │   ├── Unauthenticated     401: the credentials are none, or no longer
    │   ├── NotFound            404: the object is not there
    │   ├── Conflict            409: another has written since, or a precondition failed
    │   │   └── AlreadyExists   409: an object of that name is there
    │   ├── Invalid             400 or 422: the object was refused
    │   ├── Forbidden           403: no right, or no quota
    │   │   └── QuotaExceeded   403: a ResourceQuota of the namespace is used up
    │   ├── TooManyRequests     429: come back after ``retry_after`` seconds
    │   └── Unavailable         no answer, a time-out, or 5xx: nobody knows whether a write took effect
    ├── StoreError              the history
    │   ├── StoreRefused        it cannot live here: a network file system, a database that is too old
    │   ├── StoreUnavailable    it cannot be read or written now: full, read-only, locked, away, gone
    │   ├── StoreTooSlow        a question took longer than it may: ask for less, or another order
    │   ├── StoreCorrupt        its file is damaged
    │   └── StoreSchemaTooNew   a newer release has written it
    └── ExportsVolumeError      the exports volume cannot be read or written
"""

from __future__ import annotations

from collections.abc import Sequence


class QueryTaskError(Exception):
    """Base of all errors of this package."""


class SettingsError(QueryTaskError):
    """A setting is missing, unknown or out of its bounds."""


class ObjectInvalid(QueryTaskError):
    """An object of the cluster does not fit our models."""


class ClusterError(QueryTaskError):
    """The API server did not do as asked; ``status`` is the HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unauthenticated(ClusterError):
    """The credentials are none, or no longer."""


class NotFound(ClusterError):
    """The object is not there."""


class Conflict(ClusterError):
    """Another has written since, or a precondition failed."""


class AlreadyExists(Conflict):
    """An object of that name is there."""


class Invalid(ClusterError):
    """The object was refused; ``causes`` are the fields at fault, each with what must be."""

    def __init__(self, message: str, status: int = 422, causes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message, status)
        self.causes = tuple(causes)


class Forbidden(ClusterError):
    """No right to do this."""


class QuotaExceeded(Forbidden):
    """A ResourceQuota of the namespace is used up."""


class TooManyRequests(ClusterError):
    """The API server asks to come back after ``retry_after`` seconds."""

    def __init__(self, message: str, status: int = 429, retry_after: float = 1.0) -> None:
        super().__init__(message, status)
        self.retry_after = retry_after


class Unavailable(ClusterError):
    """No answer, a time-out or a fault of the server: nobody knows whether a write took effect."""


class StoreError(QueryTaskError):
    """The history did not do as asked."""


class StoreRefused(StoreError):
    """The history cannot live here: waiting mends nothing, the installation has to change."""


class StoreUnavailable(StoreError):
    """The history cannot be read or written now; ``fault`` is ``Full``, ``ReadOnly``, ``Locked``, ``Busy``,
    ``Io``, ``Outdated``, ``Away`` (the server is not to be reached) or ``Closed``."""

    def __init__(self, message: str, fault: str = "Io") -> None:
        super().__init__(message)
        self.fault = fault


class StoreTooSlow(StoreError):
    """A question took longer than it may; the history itself is well."""


class StoreCorrupt(StoreError):
    """The history's file is damaged."""


class StoreSchemaTooNew(StoreError):
    """A newer release has written the history."""


class ExportsVolumeError(QueryTaskError):
    """The exports volume cannot be read or written; ``fault`` is ``Full``, ``ReadOnly`` or ``Io``."""

    def __init__(self, message: str, fault: str = "Io") -> None:
        super().__init__(message)
        self.fault = fault
