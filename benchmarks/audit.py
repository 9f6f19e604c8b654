"""What was written to the API server, by whom and about what: read from its audit log."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
NOT_COUNTED = frozenset({"events", "leases"})
"""Events are told apart by the figures' own definition; a lease is renewed whether there are tasks or not."""
_POD = re.compile(r"qt-(?P<uid>[0-9a-f-]{36})-[0-9]+")
_POD_OF_A_JOB = re.compile(r"(?P<job>.+)-[a-z0-9]{5}")


@dataclass(frozen=True)
class Write:
    """One write that the API server took."""

    at: dt.datetime
    verb: str
    resource: str
    name: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def writes(log: Path, user: str) -> list[Write]:
    """The writes of a user in the order in which they were answered, without Events and leases."""
    found = []
    for line in log.read_text().splitlines():
        event = json.loads(line)
        about = event.get("objectRef", {})
        mine = event["user"]["username"] == user and event["verb"] in VERBS
        if mine and about["resource"] not in NOT_COUNTED and event["responseStatus"]["code"] < 400:
            resource = "/".join(part for part in (about["resource"], about.get("subresource")) if part)
            at = dt.datetime.fromisoformat(event["requestReceivedTimestamp"])
            found.append(Write(at, event["verb"], resource, about.get("name", "")))
    return found


def by_task(found: Iterable[Write], uids: dict[str, str]) -> dict[str, list[Write]]:
    """The writes about each task, its pods' too; ``uids`` has the uid of each task by its name."""
    known = set(uids.values())
    sorted_out: dict[str, list[Write]] = defaultdict(list)
    for write in found:
        pod = _POD.fullmatch(write.name) if write.resource.startswith("pods") else None
        uid = pod["uid"] if pod else uids.get(write.name, "")
        if uid in known:
            sorted_out[uid].append(write)
    return sorted_out


def by_job(found: Sequence[Write], jobs: Sequence[str]) -> dict[str, list[Write]]:
    """The writes about each of the Jobs of these names, its pods' too.

    The server names a Job's pod, so the log does not tell whose a created one is: each Job has its share.
    """
    sorted_out: dict[str, list[Write]] = {name: [] for name in jobs}
    made = [write for write in found if not write.name]
    for place, write in enumerate(made):
        sorted_out[jobs[place % len(jobs)]].append(write)
    for write in found:
        pod = _POD_OF_A_JOB.fullmatch(write.name) if write.resource.startswith("pods") else None
        name = pod["job"] if pod else write.name
        if name in sorted_out:
            sorted_out[name].append(write)
    return sorted_out


def table(found: dict[str, list[Write]]) -> str:
    """How many tasks had which writes, the most frequent first."""
    kinds = Counter("; ".join(map(str, items)) for items in found.values())
    return "\n".join(
        f"  {count} tasks, {kind.count(';') + 1} writes: {kind}" for kind, count in kinds.most_common()
    )


def service_account(namespace: str, name: str) -> str:
    """The user name of a ServiceAccount."""
    return f"system:serviceaccount:{namespace}:{name}"
