"""How long a page of a large history takes: each documented pair of filter and order, any depth, both ways.

    python -m benchmarks.history_pages [--tasks 1000000] [--directory DIR] [--pages 200]

Fills a history of that many tasks (``history_rows``), opens it as the operator does, and asks for pages of 50
from places all over each list, with values of the filters all over theirs: the first page of a list, the page
beyond a cursor of any depth, there and back, of a list that has just begun and of one that many changes have
come after. Then 10,000 tasks by their uids at once, and the memory of this process beyond what it had before.
What a page costs here is the history's part of a request's time: from the question to the list of tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bounds import percentile, report
from benchmarks.history_rows import FAMILIES, FIRST_SECOND, NAMESPACE, OWNERS, TEXTS, build
from querytask.adapters.store import Store, open_history, placing, sqlite
from querytask.adapters.store.columns import moment
from querytask.adapters.store.search_cursor import Cursor, encode
from querytask.core.listing import MAX_UIDS, Order, PageRequest, TaskFilter
from querytask.names import DELETED, ExportState, Phase

PAIRS: tuple[tuple[Order, str], ...] = (
    (Order.CREATED, "none"),
    (Order.CREATED, "created"),
    (Order.CREATED, "owner"),
    (Order.CREATED, "one phase"),
    (Order.CREATED, "several phases"),
    (Order.CREATED, "export state"),
    (Order.CREATED, "common word"),
    (Order.CREATED, "rare word"),
    (Order.CREATED, "two words"),
    (Order.UPDATED, "none"),
    (Order.DURATION, "none"),
    (Order.FINISHED, "none"),
    (Order.FINISHED, "finished"),
    (Order.NAME, "none"),
    (Order.NAME, "name prefix"),
)
"""Of the table in ``search_path``; the text in three kinds of words."""
MILLISECONDS = 1000


class Lists:
    """Questions with values all over their range."""

    def __init__(self, tasks: int, chance: random.Random) -> None:
        self.tasks, self.chance = tasks, chance

    def filter(self, name: str) -> TaskFilter:
        """A filter of that kind."""
        return TaskFilter(namespace=NAMESPACE, **self._fields(name))

    def _fields(self, name: str) -> dict[str, Any]:
        some = self.chance.randrange
        begin, long = self._millis(some(self.tasks)), some(1, 10**9)
        since, until = moment(begin), moment(begin + long)
        found: dict[str, dict[str, Any]] = {
            "none": {},
            "created": {"created_since": since, "created_until": until},
            "finished": {"finished_since": since, "finished_until": until},
            "owner": {"owner": f"owner-{some(OWNERS) ** 2 % OWNERS:03}"},
            "one phase": {"phases": frozenset({self.chance.choice([Phase.FAILED, Phase.QUEUED, DELETED])})},
            "several phases": {"phases": frozenset({Phase.FAILED, Phase.CANCELLED, DELETED})},
            "export state": {"export_states": frozenset({self.chance.choice(list(ExportState))})},
            "common word": {"text": "select carrier"},
            "rare word": {"text": f"customer_{some(min(TEXTS, self.tasks))}"},
            "two words": {"text": f"region_{some(10)} airport_{some(1000)}"},
            "name prefix": {"name_prefix": f"family-{some(FAMILIES):04}"[: some(1, 12)]},
        }
        return found[name]

    def pages(self, order: Order, name: str) -> Iterator[tuple[TaskFilter, PageRequest]]:
        """The first page of a list, and one beyond a cursor somewhere in it."""
        wanted, descending = self.filter(name), self.chance.random() < 0.5
        yield wanted, PageRequest(order=order, descending=descending)
        key, place = self._key(order)
        seen = self.tasks - self.chance.choice([1, 1000, placing.KEPT_CHANGES // 2, placing.KEPT_CHANGES])
        cursor = Cursor(order, descending, self.chance.random() < 0.5, key, place, max(seen, 1))
        yield wanted, PageRequest(order=order, descending=descending, cursor=encode(cursor))

    def _key(self, order: Order) -> tuple[Any, int]:
        number = self.chance.randrange(self.tasks)
        place = self._millis(number) * placing.PLACES + number % 3
        return {
            Order.CREATED: place,
            Order.UPDATED: number,
            Order.DURATION: self.chance.choice([-1, self.chance.randrange(3600) / 10]),
            Order.FINISHED: self.chance.choice([-1, self._millis(number)]),
            Order.NAME: f"family-{number % FAMILIES:04}-{number:07}",
        }[order], place

    def _millis(self, number: int) -> int:
        return (FIRST_SECOND + number // 3) * MILLISECONDS


async def measure(directory: Path, tasks: int, pages: int) -> bool:
    """All figures; whether they keep their bounds."""
    process = psutil.Process()
    before = process.memory_info().rss
    store = await open_history(directory)
    lists = Lists(tasks, random.Random(0))
    print(f"{'order':<10}{'filter':<16}{'CPU ms':>8}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}{'found':>8}")
    worst = 0.0
    for order, name in PAIRS:
        worst = max(worst, await _pair(store, lists, order, name, pages))
    kept = report("history_page_p99_milliseconds", worst)
    kept = report("history_uids_seconds", await _uids(store, directory)) and kept
    grown = (process.memory_info().rss - before) / 1e6
    kept = report("history_memory_megabytes", grown) and kept
    await store.close()
    return kept


async def _pair(store: Store, lists: Lists, order: Order, name: str, pages: int) -> float:
    took, spent, found = [], time.process_time(), 0
    for _ in range(pages):
        for wanted, page in lists.pages(order, name):
            began = time.perf_counter()
            answer = await store.search(wanted, page)
            took.append((time.perf_counter() - began) * MILLISECONDS)
            found += len(answer.items)
    cpu = (time.process_time() - spent) / len(took) * MILLISECONDS
    shown = [cpu, percentile(took, 0.5), percentile(took, 0.99), max(took)]
    print(f"{order:<10}{name:<16}" + "".join(f"{value:>8.2f}" for value in shown) + f"{found:>8}", flush=True)
    return shown[2]


async def _uids(store: Store, directory: Path) -> float:
    """The slowest of a few questions for as many tasks as one may name."""
    connection = sqlite.driver().connect(str(directory / sqlite.FILE_NAME))
    some = "SELECT uid FROM tasks WHERE version % 97 = ? LIMIT ?"
    took = []
    for number in range(5):
        uids = tuple(row[0] for row in connection.execute(some, (number, MAX_UIDS)))
        began = time.perf_counter()
        answer = await store.search(TaskFilter(namespace=NAMESPACE, uids=uids), PageRequest())
        took.append(time.perf_counter() - began)
        if len(answer.items) != len(uids):
            raise SystemExit(f"{len(uids)} tasks were named and {len(answer.items)} found")
    connection.close()
    print(f"{len(uids):,} uids: {min(took):.2f} to {max(took):.2f} s", flush=True)
    return max(took)


def main() -> int:
    """Build, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_pages", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument(
        "--pages", type=int, default=200, help="pairs of pages for each pair of filter and order"
    )
    parser.add_argument(
        "--directory", type=Path, help="a history that history_rows has made; made anew without"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="querytask-history-") as temporary:
        directory = given.directory or Path(temporary)
        if not (directory / sqlite.FILE_NAME).exists():
            # By another process: what the building has taken and given back is not to be counted.
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                pool.submit(build, directory, given.tasks).result()
        return 0 if asyncio.run(measure(directory, given.tasks, given.pages)) else 1


if __name__ == "__main__":
    sys.exit(main())
