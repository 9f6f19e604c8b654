"""How fast and how surely tasks are cancelled: ``python -m benchmarks.cancel [--rounds 6] [--count 1000]``.

First on the real node, one at a time, in the midst of scans, joins, sorts, aggregates and an export: from the
request to the phase Cancelled as a watcher of the object sees it, with the share of operator, kubelet and
worker. The baseline is a bare pod that ends at once when it is stopped in the same way. Then very many
running tasks at once, against a scripted kubelet: is one left, and how many writes does a cancellation take.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import cancel_many, cancel_node
from benchmarks.bounds import percentile, report


async def on_node(rounds: int) -> bool:
    """True when the bounds are kept on the node."""
    found = await cancel_node.measure(rounds)
    ordinary, stubborn = found.ordinary, found.stubborn
    bare = statistics.median(found.bare)
    kept = [
        report("cancel_p50_seconds", percentile(ordinary, 0.5), bare),
        report("cancel_p99_seconds", percentile(ordinary, 0.99), bare),
        report("cancel_stubborn_seconds", max(stubborn), bare),
    ]
    return all(kept)


async def many(count: int) -> bool:
    """True when the bounds are kept by very many."""
    with tempfile.TemporaryDirectory(prefix="querytask-bench-") as temporary:
        found = await cancel_many.measure(count, Path(temporary) / "audit.log")
    return all([report("cancel_left", found.left), report("cancel_writes", found.most_writes)])


def main() -> int:
    """Measure, and compare with the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="of each kind of query, on the node")
    parser.add_argument("--count", type=int, default=1000, help="of the scripted ones")
    options = parser.parse_args()
    kept = [asyncio.run(on_node(options.rounds))] if options.rounds else []
    kept += [asyncio.run(many(options.count))] if options.count else []
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
