"""The pages of a large history through HTTP: ``python -m benchmarks.history_http [--tasks N] [--pages 100]``.

The API as the pod has it, a process of its own behind TLS, on a history of a million tasks
(``history_rows``), and a real API server that says who calls and what they may. One caller asks for the pages
of ``history_pages``: every documented pair of filter and order, first pages and pages of any depth. What
counts is the server's time of each as its access log says it; then 10,000 tasks by their uids in one request,
and the most memory that the API's process has taken.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.bounds import percentile, report
from benchmarks.history_pages import MILLISECONDS, PAIRS, Lists
from benchmarks.history_rows import NAMESPACE, build
from cluster.harness import ControlPlane
from querytask.adapters.store import sqlite
from querytask.core.listing import MAX_UIDS, PageRequest, TaskFilter
from tests.controlplane.kit import api
from tests.controlplane.kit.api import Accounts, ApiProcess

ROOT = Path(__file__).resolve().parents[1]
LIST = "/api/v1/tasks"
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


def main() -> int:
    """Build, serve, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_http", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument(
        "--pages", type=int, default=100, help="pairs of pages for each pair of filter and order"
    )
    parser.add_argument("--directory", type=Path, help="a history that was made before; made anew without")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="querytask-history-") as temporary:
        folder = Path(temporary)
        history = given.directory or folder / "history"
        if not (history / sqlite.FILE_NAME).exists():
            history.mkdir(parents=True, exist_ok=True)
            build(history, given.tasks)
        (folder / "exports").mkdir()
        with ControlPlane(folder / "plane", manifests=[ROOT / "crds"]) as plane:
            plane.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            token = Accounts(plane, NAMESPACE).make("bench-reader")
            pki = api.certificates(folder / "pki")
            authority = plane.folder / "pki" / "ca.crt"
            exports = folder / "exports"
            values = api.environment(
                plane, NAMESPACE, pki, history=history, exports=exports, authority=authority
            )
            process = ApiProcess(values, folder / "api.log", pki)
            try:
                process.wait_ready()
                return 0 if measure(process, token, history, given.tasks, given.pages) else 1
            finally:
                process.stop()


if __name__ == "__main__":
    sys.exit(main())
