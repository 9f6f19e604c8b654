"""What an error of PostgreSQL means for the history. For ``failures``, which asks here when the history is in
a database at an address."""

from __future__ import annotations

from sqlalchemy import exc

from querytask import errors
from querytask.adapters.store.address import Address

SHOWN = 500
"""Characters of the server's own words."""

_FAULTS = {
    "53300": "Away",
    "53": "Full",
    "25006": "ReadOnly",
    "42501": "ReadOnly",
    "25P03": "Away",
    "55P03": "Locked",
    "40": "Locked",
    "57014": "Busy",
    "57": "Away",
    "08": "Away",
    "28": "Away",
    "3D": "Away",
    "58": "Io",
    "42P01": "Outdated",
    "3F": "Outdated",
}
"""By SQLSTATE or the beginning of one; the first that fits."""
_DAMAGED = ("XX001", "XX002")
_TOO_GREAT = "22003"

_SENTENCES = {
    "Away": "{where} cannot be reached or does not let us in: see that the server runs, that its address is"
    " right, and that user, password and database are; the history then goes on by itself",
    "Full": "the server of {where} has no room: free space or memory on it; writing then goes on by itself",
    "ReadOnly": "{where} cannot be written: it must be the primary server, and its user must be allowed to"
    " make and write tables in its schema",
    "Locked": "{where} is locked by another session: end what holds it, such as a shell or a migration",
    "Busy": "the server of {where} has broken the question off: ask again",
    "Io": "the server of {where} cannot read or write its files: look at its log for faults of the disk",
    "Outdated": "{where} has no history, or not all of its tables: the operator has to start first",
}


def translate(error: exc.SQLAlchemyError, where: Address) -> errors.StoreError:
    """Our error for ``error``, met while working on the database at ``where``."""
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", None) or "")
    told = words(cause, where)
    if state in _DAMAGED:
        return errors.StoreCorrupt(f"{where} is damaged: restore it from a backup of the server ({told})")
    if state == _TOO_GREAT:
        return errors.StoreError(f"{where} takes no number over 64 bits: {told}")
    fault = "Locked" if isinstance(error, exc.TimeoutError) else _fault(error, state)
    if fault is None:
        return errors.StoreError(f"{where}: {told}")
    return errors.StoreUnavailable(f"{_SENTENCES[fault].format(where=where)} ({told})", fault)


def unavailable(cause: Exception, where: Address) -> errors.StoreUnavailable:
    """The same for an error of the driver itself, where nothing was asked but whether we may come in."""
    return errors.StoreUnavailable(
        f"{_SENTENCES['Away'].format(where=where)} ({words(cause, where)})", "Away"
    )


def words(cause: BaseException, where: Address) -> str:
    """What the server or the driver said, on one line and without a password."""
    return where.without_password(" ".join(str(cause).split()))[:SHOWN]


def _fault(error: exc.SQLAlchemyError, state: str) -> str | None:
    if state:
        return next((fault for start, fault in _FAULTS.items() if state.startswith(start)), None)
    # What comes from no server has no SQLSTATE: it was not reached, or is no longer.
    lost = getattr(error, "connection_invalidated", False)
    return "Away" if lost or isinstance(error, (exc.OperationalError, exc.InterfaceError)) else None
