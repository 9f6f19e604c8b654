"""The worker against bare DuckDB on TPC-H: ``python -m benchmarks.worker_tpch [--scale 1] [--rounds 5]
[--data DIR]``.

For each of the 22 queries the two run by turns, each in a process of its own, and the best of its runs
counts: the machine's other work only ever adds. The tables are Parquet files; both sides begin with the same
views of them and end with the same kind of file. First figure: the geometric mean of the ratios of engine
plus export time. Second: what the whole worker process takes beyond a bare process that runs the same small
query, the median of the pairs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import duckdb
import duckdb_extensions

from benchmarks.bounds import geometric_mean, report
from benchmarks.worker_runs import Bench, Run

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
SMALL = ["SELECT 42 AS answer, 'text' AS word"]
FIXED_ROUNDS = 15


def generate(data: Path, scale: float) -> None:
    """Write the tables as Parquet files, unless they are there."""
    folder = data / "tpch"
    if all((folder / f"{table}.parquet").exists() for table in TABLES):
        return
    print(f"generating TPC-H at scale factor {scale:g} (about 30 s)", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with _with_tpch() as connection:
        connection.execute(f"CALL dbgen(sf = {scale})")
        for table in TABLES:
            connection.execute(f"COPY {table} TO '{folder / table}.parquet' (FORMAT parquet)")


def queries() -> list[str]:
    """The 22 queries, without their closing semicolons."""
    with _with_tpch() as connection:
        rows = connection.execute("SELECT query FROM tpch_queries() ORDER BY query_nr").fetchall()
    return [text.strip().rstrip(";") for (text,) in rows]


def _with_tpch() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    duckdb_extensions.import_extension("tpch", con=connection)
    connection.execute("LOAD tpch")
    return connection


def pairs(bench: Bench, statements: list[str], rounds: int) -> list[tuple[Run, Run]]:
    """Runs of the worker and of bare DuckDB by turns; which comes first alternates."""
    bench.bare(statements)  # the files are in the page cache from here on
    found = []
    for number in range(rounds):
        if number % 2:
            worker = bench.worker(statements)
            found.append((worker, bench.bare(statements)))
        else:
            bare = bench.bare(statements)
            found.append((bench.worker(statements), bare))
    return found


def ratios(bench: Bench, rounds: int) -> list[float]:
    """The ratio of each query, told as a table."""
    views = [f"CREATE TEMP VIEW {table} AS FROM 'tpch/{table}.parquet'" for table in TABLES]
    found = []
    print("query   worker s     bare s   ratio")
    for number, query in enumerate(queries(), 1):
        runs = pairs(bench, [*views, query], rounds)
        worker, bare = min(run.engine for run, _ in runs), min(run.engine for _, run in runs)
        found.append(worker / bare)
        print(f"{number:>5}   {worker:8.4f}   {bare:8.4f}   {worker / bare:5.3f}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="where the tables are, or are to be kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="querytask-tpch-") as temporary:
        data = options.data or Path(temporary)
        generate(data, options.scale)
        bench = Bench(data)
        try:
            whole = pairs(bench, SMALL, FIXED_ROUNDS)
            fixed = statistics.median(worker.process - bare.process for worker, bare in whole)
            mean = geometric_mean(ratios(bench, options.rounds))
        finally:
            bench.close()
    worker, bare = (statistics.median(run[side].process for run in whole) for side in (0, 1))
    print(f"whole process: worker {worker:.3f} s, bare {bare:.3f} s (medians of {FIXED_ROUNDS})")
    kept = [report("worker_fixed_seconds", fixed), report("worker_tpch_ratio", mean)]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
