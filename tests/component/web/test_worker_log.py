"""What is answered of a log: the last lines, and whether there would be more of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from querytask.adapters.caller import LogEnd
from querytask.adapters.store import StoredTask
from querytask.web import worker_log
from querytask.web.callers import Caller
from querytask.web.parts import Parts
from tests.component.store import builders


class Cluster:
    """A cluster that has this end of a log."""

    def __init__(self, found: LogEnd) -> None:
        self.found = found

    async def pod_log(self, pod: str, **bounds: int) -> LogEnd:
        return self.found


class May:
    """A caller who may do everything."""

    def __init__(self, found: LogEnd) -> None:
        self.cluster = Cluster(found)

    async def may(self, access: object) -> bool:
        return True

    async def must(self, access: object) -> None:
        return None

    async def must_reach(self, *what: object) -> None:
        return None


class One:
    """A history of one task that runs."""

    async def get(self, uid: str) -> StoredTask:
        return StoredTask(
            task=builders.task("uid-1", "Running", attempt=1),
            sql_hash="a" * 64,
            normal_hash="b" * 64,
            updated_at=builders.T0,
            version=1,
            attempts=(builders.attempt(),),
        )


@pytest.mark.parametrize(
    ("text", "tail", "told"),
    [
        ("one\ntwo\nthree\n", 2, "two\nthree\n"),
        ("one\ntwo\nthree", 2, "two\nthree"),
        ("one\r\x0c\u2028 still one\ntwo\n", 2, "one\r\x0c\u2028 still one\ntwo\n"),
        ("", 2, ""),
        ("one\n", 2, "one\n"),
    ],
)
@pytest.mark.parametrize("truncated", [True, False])
async def test_the_last_lines_are_answered(text: str, tail: int, told: str, truncated: bool):
    """By their line feeds alone; a header says whether lines that were asked for are missing."""
    parts: Any = SimpleNamespace(store=One(), settings=SimpleNamespace(namespace="analytics"))
    caller = cast(Caller, May(LogEnd(text, truncated)))
    answer = await worker_log.get_logs("uid-1", caller, cast(Parts, parts), None, tail)
    assert bytes(answer.body).decode() == told
    assert answer.headers["x-log-truncated"] == str(truncated).lower()
    assert answer.headers["x-log-source"] == "live"
