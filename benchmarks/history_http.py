"""The pages of a large history through HTTP: ``python -m benchmarks.history_http [--tasks N] [--pages 300]``.

The API as the pod has it, a process of its own behind TLS, on a history of a million tasks
(``history_rows``), and a real API server that says who calls and what they may. One caller asks for the pages
of ``history_pages``: every documented pair of filter and order, first pages and pages of any depth. What
counts is the server's time of each as its access log says it; then 10,000 tasks by their uids in one request,
and the most memory that the API's process has taken. At last an operator is started on the same history and
works through what has become due in it, and the most that both processes hold together is told.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.api_cancel import serving
from benchmarks.bounds import percentile, report
from benchmarks.history_pages import MILLISECONDS, PAIRS, Lists
from benchmarks.history_rows import NAMESPACE, build
from benchmarks.plane import Installation, plane
from querytask.adapters.store import sqlite
from querytask.core.listing import MAX_UIDS, PageRequest, TaskFilter
from tests.controlplane.kit.api import Accounts, ApiProcess

LIST = "/api/v1/tasks"
KEPT = "3650d"
"""How long the operator is told to keep what has ended: the rows are of the past."""
PATIENCE_SECONDS = 300.0
WORK_SECONDS = 60
"""How long the operator is watched: it has hundreds of thousands of exports to expire, more than it ends."""
_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])")


def parameters(wanted: TaskFilter, page: PageRequest) -> dict[str, Any]:
    """The question as an address says it."""
    times = ("created_since", "created_until", "finished_since", "finished_until")
    named: dict[str, Any] = {
        "status": [_word(phase) for phase in wanted.phases],
        "export_status": [_word(state) for state in wanted.export_states],
        "owner": wanted.owner,
        "name_prefix": wanted.name_prefix,
        "text": wanted.text,
        "order_by": page.order.value,
        "descending": str(page.descending).lower(),
        "cursor": page.cursor,
        **{name: moment.isoformat() for name in times if (moment := getattr(wanted, name))},
    }
    return {name: value for name, value in named.items() if value}


def _word(name: str) -> str:
    return _WITHIN.sub("_", name).lower()


def measure(process: ApiProcess, token: str, history: Path, tasks: int, pages: int) -> bool:
    """All figures; whether they keep their bounds."""
    lists, server = Lists(tasks, random.Random(0)), psutil.Process(process.process.pid)
    most, worst = 0, 0.0
    print(f"{'order':<10}{'filter':<16}{'CPU ms':>8}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}")
    with process.client(token) as caller:
        for order, name in PAIRS:
            before, spent = len(process.requests()), _cpu(server)
            for _ in range(pages):
                for wanted, page in lists.pages(order, name):
                    _asked(caller.get(LIST, params=parameters(wanted, page)))
            took = [line["seconds"] * MILLISECONDS for line in process.requests()[before:]]
            cpu = (_cpu(server) - spent) / len(took) * MILLISECONDS
            shown = (cpu, percentile(took, 0.5), percentile(took, 0.99), max(took))
            print(f"{order:<10}{name:<16}" + "".join(f"{value:>8.1f}" for value in shown), flush=True)
            worst, most = max(worst, shown[2]), max(most, server.memory_info().rss)
        print(f"{most / 1e6:.0f} MB before the uids")
        kept = report("history_http_p99_milliseconds", worst)
        kept = report("history_http_uids_seconds", _uids(caller, process, history)) and kept
    most = max(most, server.memory_info().rss)
    return report("history_http_memory_megabytes", most / 1e6) and kept


def _cpu(server: psutil.Process) -> float:
    """Seconds of CPU so far: what a page costs, whatever else the machine does."""
    times = server.cpu_times()
    return float(times.user + times.system)


def _uids(caller: httpx.Client, process: ApiProcess, history: Path) -> float:
    """The server's time for as many tasks as one request may name, the slowest of a few."""
    with closing(sqlite.driver().connect(str(history / sqlite.FILE_NAME))) as connection:
        rows = connection.execute("SELECT uid FROM tasks WHERE version % 97 = 5 LIMIT ?", (MAX_UIDS,))
        uids = [row[0] for row in rows]
    before = len(process.requests())
    for _ in range(3):
        found = _asked(caller.post(f"{LIST}/query", json={"task_ids": uids}))
        if len(found["items"]) != len(uids):
            raise SystemExit(f"{len(uids)} tasks were named and {len(found['items'])} found")
    return max(float(line["seconds"]) for line in process.requests()[before:])


def _asked(answer: httpx.Response) -> Any:
    if answer.status_code != 200:
        raise SystemExit(f"must be answered as asked, not with {answer.text}")
    return answer.json()


async def run(given: argparse.Namespace) -> bool:
    """Build, serve, measure, report."""
    with plane() as where:
        async with where.installation(NAMESPACE) as place:
            history = given.directory or place.history
            if not (history / sqlite.FILE_NAME).exists():
                await asyncio.to_thread(build, history, given.tasks)
            token = Accounts(place.plane, NAMESPACE).make("bench-reader")
            async with serving(place, where.plane.folder, history) as process:
                kept = await asyncio.to_thread(measure, process, token, history, given.tasks, given.pages)
                return await together(place, process, history) and kept


async def together(place: Installation, process: ApiProcess, history: Path) -> bool:
    """Start the operator, let it work, and tell the most that the two have held at one time."""
    with place.operator(ready=False, history_dir=history, task_retention=KEPT) as operator:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(operator.ready):  # noqa: ASYNC110 - a probe tells when asked
                await asyncio.sleep(1)
        most = (0.0, 0.0)
        for _ in range(WORK_SECONDS):
            await asyncio.sleep(1)
            held = (_megabytes(operator.process.pid), _megabytes(process.process.pid))
            most = max(most, held, key=sum)
    print(f"the operator {most[0]:.0f} MB, the API {most[1]:.0f} MB")
    return report("history_together_megabytes", sum(most))


def _megabytes(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def main() -> int:
    """Measure, and compare with the bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_http", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument(
        "--pages", type=int, default=300, help="pairs of pages for each pair of filter and order"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        help="a history that was made before, which the operator changes; made anew without",
    )
    return 0 if asyncio.run(run(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
