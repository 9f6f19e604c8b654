"""What many ask for at one time is asked once, and again when its time is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from querytask.adapters.store import HistoryFigures
from querytask.web.kept import Kept
from querytask.web.parts import COUNTED_SECONDS
from tests.component.web.asking import ask_at_once


class Question:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked, self.fault = 0, ""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self) -> int:
        self.asked += 1
        asked = self.asked
        await self.may_answer.wait()
        if self.fault:
            raise RuntimeError(self.fault)
        return asked


async def test_it_is_kept_for_its_time():
    """From when it was asked for."""
    kept, question = Kept[int](2), Question()
    assert [await kept.get(question, now) for now in (10, 11.9, 12, 13.9, 14)] == [1, 1, 2, 2, 3]


async def test_those_who_ask_at_one_time_share_it():
    """Also when one of them gives up, and when it takes longer than it is kept."""
    kept, question = Kept[int](2), Question()
    question.may_answer.clear()
    crowd = [asyncio.ensure_future(kept.get(question, now)) for now in (10, 11, 15)]
    await asyncio.sleep(0)
    crowd[0].cancel()
    question.may_answer.set()
    assert await asyncio.gather(*crowd[1:]) == [1, 1]
    assert question.asked == 1


async def test_a_fault_is_not_kept():
    """Everybody who has waited for it is told, and the next one asks anew."""
    kept, question = Kept[int](2), Question()
    question.fault = "away"
    found = await asyncio.gather(*(kept.get(question, 10) for _ in range(3)), return_exceptions=True)
    assert [str(item) for item in found] == ["away"] * 3
    question.fault = ""
    assert await kept.get(question, 10) == 2
    assert question.asked == 2


class Counting:
    """A history that is counted."""

    def __init__(self) -> None:
        self.counts = 0

    async def figures(self, namespace: str) -> HistoryFigures:
        self.counts += 1
        return HistoryFigures({"Queued": self.counts}, None)


@pytest.mark.parametrize("callers", [1, 5])
async def test_stats_are_counted_once(tmp_path: Path, callers: int):
    """For all who ask within two seconds."""
    history = Counting()
    answers = await ask_at_once(history, tmp_path, ["/api/v1/stats"] * callers)
    assert [answer.json()["by_status"]["queued"] for answer in answers] == [1] * callers
    assert (history.counts, COUNTED_SECONDS) == (1, 2)
