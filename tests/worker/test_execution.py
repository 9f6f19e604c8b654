"""The one way of executing: what it registers, what a stop does to it, and that there is no second way in the
package.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import querytask_worker
from querytask_worker import database
from querytask_worker.execution import Execution
from querytask_worker.faults import Stopped
from querytask_worker.log import Log
from querytask_worker.pool import ConnectionPool
from querytask_worker.registry import Registry
from tests.worker.builders import await_value

PACKAGE = Path(querytask_worker.__file__).parent
EXECUTING = set(
    """
    execute executemany sql query from_query begin commit rollback checkpoint table view read_csv read_parquet
    read_json from_parquet install_extension load_extension register create_function extract_statements
    """.split()  # noqa: SIM905 - a list of one name a line would hide the test
)
"""What of a DuckDB connection runs or prepares something, or may read files while it classifies."""


@pytest.fixture
def pool(log: Log) -> Iterator[ConnectionPool[duckdb.DuckDBPyConnection]]:
    made = ConnectionPool(database.connect, log)
    yield made
    assert made.close() == 0


@pytest.fixture
def execution(pool, registry: Registry, log: Log) -> Iterator[Execution]:
    made = Execution(pool, registry, log)
    yield made
    for task_id in ("a", "b"):
        made.finish(task_id)


def test_a_task_keeps_its_connection_and_another_gets_none_of_it(execution: Execution, pool):
    execution.run("a", "CREATE TEMP TABLE t AS SELECT 42 AS x")
    assert execution.run("a", "FROM t") == [(42,)]
    execution.finish("a")
    assert pool.lent_count == 0
    with pytest.raises(duckdb.CatalogException):
        execution.run("b", "FROM t")


def test_it_is_registered_while_it_runs_and_no_longer(execution: Execution, registry: Registry):
    with execution.interruptible_connection("a", "SELECT 1"):
        assert [record.sql_preview for record in registry.get_all_tasks()] == ["SELECT 1"]
    assert registry.get_active_count() == 0


def test_a_failure_is_not_left_registered(execution: Execution, registry: Registry):
    with pytest.raises(duckdb.ParserException):
        execution.run("a", "SELEC")
    assert registry.get_active_count() == 0
    assert execution.run("a", "SELECT 1") == [(1,)]


def test_it_is_never_nested(execution: Execution):
    with (
        execution.interruptible_connection("a", "SELECT 1"),
        pytest.raises(RuntimeError, match="never nested"),
    ):
        execution.run("a", "SELECT 2")


def test_a_stop_before_the_first_statement_lets_none_start(execution: Execution, pool):
    execution.stop("a")
    with pytest.raises(Stopped):
        execution.run("a", "SELECT 1")
    with pytest.raises(Stopped):
        execution.check("a")


def test_a_stop_concerns_its_task_alone(execution: Execution, pool):
    execution.stop("b")
    assert execution.run("a", "SELECT 1") == [(1,)]


def test_an_interrupted_connection_is_discarded(execution: Execution, registry: Registry, pool):
    """Whatever the statement raised, and even if it had succeeded, the caller is told that it was stopped."""
    ended: list[BaseException] = []

    def work() -> None:
        try:
            execution.run("a", "SELECT * FROM range(1000000000)")
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await_value(lambda: registry.get("a"))
    execution.stop("a")
    thread.join(10)
    assert [type(error) for error in ended] == [Stopped]
    assert (pool.lent_count, pool.idle_count) == (0, 0)


def test_a_stop_that_comes_too_late_for_the_statement_still_stops_the_task(execution: Execution, pool):
    def stopped_at_the_end() -> None:
        with execution.interruptible_connection("a", "SELECT 1") as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
            execution.stop("a")

    with pytest.raises(Stopped):
        stopped_at_the_end()


def test_a_script_gives_the_rows_of_its_query(execution: Execution):
    """DuckDB makes four statements of an EXPLAIN of a PIVOT, and the last of them is a COMMIT."""
    execution.run("a", "CREATE TEMP TABLE t AS SELECT 'x' AS k, 1 AS v")
    assert execution.script("a", "EXPLAIN PIVOT t ON k USING sum(v)", {})[0][0] == "physical_plan"
    assert execution.script("a", "SELECT $Ab + $b", {"ab": 1, "b": 2, "unused": 3}) == [(3,)]


def test_progress_is_told_of_a_running_statement_alone(execution: Execution):
    assert execution.progress("a") < 0
    with execution.interruptible_connection("a", "SELECT 1"):
        assert isinstance(execution.progress("a"), float)


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, bool]]:
    """Every call of an executing attribute, and whether it stands within ``with
    ….interruptible_connection(…)``.
    """

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[ast.Call, bool]]:
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            inside = False
        if isinstance(node, ast.With):
            inside = inside or any(
                isinstance(item.context_expr, ast.Call)
                and isinstance(item.context_expr.func, ast.Attribute)
                and item.context_expr.func.attr == "interruptible_connection"
                for item in node.items
            )
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in EXECUTING
        ):
            yield node, inside
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(tree, False)


def test_there_is_no_second_way_to_execute():
    """Each call that executes stands within the context manager, or in a function that is given the manager's
    connection.
    """
    second = []
    for path in sorted(PACKAGE.glob("*.py")):
        for call, inside in _calls(ast.parse(path.read_text())):
            target = ast.unparse(call.func)
            if not inside and (path.name, target) not in GIVEN:
                second.append(f"{path.name}:{call.lineno} {target}")
    assert second == []


GIVEN = {
    (
        "policy.py",
        "connection.extract_statements",
    ),  # called by the engine within the context manager: tested below
    ("execution.py", "self._registry.register"),  # the registry of this package
    ("supervisor.py", "self._poll.register"),  # of ``select``
}


def test_the_statements_are_classified_within_the_context_manager():
    tree = ast.parse((PACKAGE / "engine.py").read_text())
    reads = [
        (node, block)
        for block in ast.walk(tree)
        if isinstance(block, ast.With)
        for node in ast.walk(block)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "policy.read"
    ]
    everywhere = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "policy.read"
    ]
    assert len(reads) == len(everywhere) == 1
    assert "interruptible_connection" in ast.unparse(reads[0][1].items[0])


def test_duckdb_is_connected_to_in_one_place():
    connecting = [path.name for path in sorted(PACKAGE.glob("*.py")) if "duckdb.connect(" in path.read_text()]
    assert connecting == ["database.py"]
