"""The operator's writes to the API server for a task that succeeds: ``python -m benchmarks.api_writes
[--count 30]``.

Counted in the audit log of an API server with a scripted kubelet, whose pods are bound, run for half a second
and end, as real ones do. The baseline is what the Job controller writes for a Job with the same pod. Events
are not counted, nor the renewal of the lease.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import audit
from benchmarks.bounds import report
from benchmarks.jobs import job, template
from benchmarks.plane import Installation, ends, kubelet, no_pods, plane, task
from querytask import names
from tests.controlplane.kit import script
from tests.controlplane.kit.chart import RELEASE

SCENE = "succeed after=0.5 rows=3"


async def of_tasks(place: Installation, count: int, log: Path) -> list[int]:
    """How many writes each of ``count`` tasks took, the removal of its pod included."""
    bodies = [task(f"task-{number}", sql=script.sql(SCENE), export={}) for number in range(count)]
    with place.operator(max_running=count):
        async with kubelet(place, SCENE):
            made = await ends(place, names.TASK_PLURAL, bodies, "status.phase=Succeeded")
            await no_pods(place)
    uids = {item["metadata"]["name"]: item["metadata"]["uid"] for item in made}
    found = audit.by_task(audit.writes(log, audit.service_account(place.namespace, RELEASE)), uids)
    print(f"tasks:\n{audit.table(found)}", flush=True)
    return [len(found[uid]) for uid in uids.values()]


async def of_jobs(place: Installation, count: int, log: Path) -> list[int]:
    """How many each of ``count`` Jobs took."""
    bodies = [job(f"job-{number}", template(place)) for number in range(count)]
    async with kubelet(place, SCENE):
        made = await ends(place, "jobs", bodies, "status.successful=1")
    written = audit.writes(log, audit.service_account("kube-system", "job-controller"))
    found = audit.by_job(written, [item["metadata"]["name"] for item in made])
    print(f"Jobs:\n{audit.table(found)}", flush=True)
    return [len(items) for items in found.values()]


async def measure(count: int, log: Path) -> bool:
    """True when the bound is kept by every task."""
    with plane("job-controller", audit=log) as where:
        async with where.installation() as place:
            tasks = await of_tasks(place, count, log)
        async with where.installation() as place:
            jobs = await of_jobs(place, count, log)
    return report("api_writes", max(tasks), statistics.median(jobs))


def main() -> int:
    """Measure, and compare with the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="querytask-bench-") as temporary:
        return 0 if asyncio.run(measure(options.count, Path(temporary) / "audit.log")) else 1


if __name__ == "__main__":
    sys.exit(main())
