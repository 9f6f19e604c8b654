"""Says what the start has found of the history: one line when it is sound; an error, an Event and a file
that a metric counts when it was damaged or lost."""

from __future__ import annotations

import datetime as dt
import logging

from querytask import errors, names
from querytask.adapters.cluster import Cluster
from querytask.adapters.store import Prepared
from querytask.core import clock, events

log = logging.getLogger(__name__)


def say(prepared: Prepared) -> None:
    """Into the log."""
    if prepared.damage or prepared.missing:
        log.error("%s", sentence(prepared))
    elif prepared.asked:
        log.warning("%s", sentence(prepared))
    else:
        log.info("The history is sound: %d bytes, looked at in %.2f s", prepared.bytes, prepared.seconds)


def sentence(prepared: Prepared) -> str:
    """What was wrong, where the old file lies, what took its place, and what happens now."""
    if prepared.missing:
        return (
            f"The history has lost its newest steps, {prepared.missing} or more, as when its write-ahead log"
            " is removed; tasks whose objects exist are recorded again"
        )
    why = f"The history was damaged or lost ({prepared.damage})"
    if prepared.asked:
        why = "The history was restored, as somebody had asked"
    aside = f"what was there is now {prepared.aside}" if prepared.aside else "nothing was there to be kept"
    if prepared.restored is None:
        now = "there is no backup, and it begins empty"
    elif prepared.asked:
        now = "the backup has taken its place"
    else:
        now = f"the backup of {clock.second(prepared.restored.at)} has taken its place"
    return f"{why}: {aside}, {now}; tasks whose objects exist are recorded again"


async def tell(calls: Cluster, namespace: str, pod: str, prepared: Prepared, now: dt.datetime) -> None:
    """On the operator's pod, if the history is another one than before; what fails is said."""
    if not (prepared.damage or prepared.asked or prepared.missing):
        return
    try:
        uid = (await calls.get_pod(pod))["metadata"]["uid"]
        await calls.create_event(
            events.of_operator(namespace, pod, uid, names.HISTORY_REPLACED, sentence(prepared), now)
        )
    except errors.ClusterError as error:
        log.warning("The Event of the history could not be written: %s", error)
