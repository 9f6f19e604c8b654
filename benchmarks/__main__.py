"""Runs the benchmarks one after the other and ends with a table of their figures: ``python -m benchmarks
[NAMES]``.

Each is a program of its own, ``python -m benchmarks.NAME``, whose arguments change its size; here each has
its usual one. A figure that breaks its bound, a figure that is missing and a benchmark that fails make it
exit with 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bounds import BOUNDS, RATIO, Figure, told

WIDTH = 100


@dataclass(frozen=True)
class Benchmark:
    """A program, how long it takes on two cores, and the figures in ``bounds.json`` that it has to tell."""

    name: str
    usually: str
    figures: tuple[str, ...]


BENCHMARKS = (
    Benchmark("worker_tpch", "2 min", ("worker_tpch_ratio", "worker_fixed_seconds")),
    Benchmark(
        "worker_interrupt",
        "4 min",
        ("worker_interrupt_p99_seconds", "worker_stop_p99_seconds", "worker_stubborn_seconds"),
    ),
    Benchmark("cold_task", "2 min", ("cold_task",)),
    Benchmark("api_writes", "1 min", ("api_writes",)),
    Benchmark("throughput", "3 min", ("throughput",)),
    Benchmark("startup", "2 min", ("startup_memory_megabytes", "startup_seconds")),
    Benchmark("api_cancel", "4 min", ("api_cancel_p99_seconds",)),
    Benchmark(
        "cancel",
        "5 min",
        (
            "cancel_p50_seconds",
            "cancel_p99_seconds",
            "cancel_stubborn_seconds",
            "cancel_left",
            "cancel_writes",
        ),
    ),
    Benchmark(
        "history_pages",
        "2 min",
        ("history_page_p99_milliseconds", "history_uids_seconds", "history_memory_megabytes"),
    ),
    Benchmark(
        "history_http",
        "4 min",
        (
            "history_http_p99_milliseconds",
            "history_http_uids_seconds",
            "history_http_memory_megabytes",
            "history_together_megabytes",
        ),
    ),
    Benchmark(
        "history_writer", "2 min", ("history_transitions_per_second", "history_loop_blocked_milliseconds")
    ),
    Benchmark("history_keeping", "1 min", ("history_purge_held_milliseconds",)),
)


def main() -> int:
    """Run those that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [item.name for item in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    chosen = parser.parse_args().names or names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f'NAME must be one of {", ".join(names)}, not "{unknown[0]}"')
    found: list[Figure] = []
    faults: list[str] = []
    for item in BENCHMARKS:
        if item.name in chosen:
            figures, fault = run(item)
            found += figures
            faults += [fault] if fault else []
    _table(found)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def run(item: Benchmark) -> tuple[list[Figure], str]:
    """Run one and show what it prints; its figures, and what is wrong: empty when nothing is."""
    print(f"== {item.name} (usually {item.usually})", flush=True)
    began = time.monotonic()
    found: list[Figure] = []
    command = [sys.executable, "-u", "-m", f"benchmarks.{item.name}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            figure = told(line)
            if figure is None:
                print(line, end="", flush=True)
            else:
                found.append(figure)
    print(f"   {item.name} took {time.monotonic() - began:.0f} s", flush=True)
    return found, _fault(item, found, process.returncode)


def _fault(item: Benchmark, found: Sequence[Figure], code: int) -> str:
    if missing := sorted(set(item.figures) - {figure.name for figure in found}):
        return f"FAILED {item.name}: it has not told {', '.join(missing)} and ended with exit code {code}"
    if broken := [figure.name for figure in found if not figure.ok]:
        return f"FAILED {item.name}: {', '.join(broken)} must keep its bound"
    return f"FAILED {item.name}: exit code {code}" if code else ""


def _table(found: Sequence[Figure]) -> None:
    print("=" * WIDTH)
    print(f"{'figure':<30}{'value':>12}{'baseline':>12}{'ratio':>9}{'bound':>12}  {'unit':<8} ok")
    meanings = json.loads(BOUNDS.read_text())
    for figure in found:
        bound = f"{'<=' if figure.better == 'lower' else '>='} {_number(figure.bound)}"
        row = f"{figure.name:<30}{_number(figure.value):>12}{_number(figure.baseline):>12}"
        row += f"{_number(figure.ratio):>9}{bound:>12}  {figure.unit:<8} {'ok' if figure.ok else 'NOT OK'}"
        print(row)
        print(f"    {meanings[figure.name]['what']}")
        if figure.aim is not None:
            reached = "reached" if figure.aimed else f"missed: {meanings[figure.name]['why']} says why"
            print(f"    aim {_number(figure.aim)} {reached}")
    print(f"({RATIO}: value by baseline, or the value itself where there is no baseline)")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
