"""Notes in the history who has written what through the API, once the answer is on its way.

The cluster's audit log is the proof; this is what somebody without access to it can look up. A history that
cannot be written now costs a line of the log, never the caller's answer.
"""

from __future__ import annotations

import logging

from fastapi import Request

from querytask import errors
from querytask.adapters.store import AuditRecord, TaskRecord
from querytask.web.callers import Caller
from querytask.web.parts import Parts

log = logging.getLogger(__name__)


async def note(
    parts: Parts, caller: Caller, request: Request, verb: str, task: TaskRecord, detail: str = ""
) -> None:
    """Keep that the caller did ``verb`` to ``task``."""
    record = AuditRecord(
        at=parts.clock(),
        principal=caller.principal.username,
        verb=verb,
        namespace=task.namespace,
        name=task.name,
        uid=task.uid,
        request_id=str(request.scope.get("state", {}).get("request_id", "")),
        detail=detail,
    )
    try:
        await parts.store.api.note(record)
    except errors.StoreError as error:
        log.warning("Who did %s to %s could not be noted: %s", verb, task.uid, error)
