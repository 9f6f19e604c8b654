"""Opens the engine: DuckDB in memory, first its settings, then the lock-down, after which only the user's SQL
runs.

The order matters: what the lock-down refuses must have happened before it. Every statement goes through
``Execution``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import duckdb

from . import sources
from .execution import Execution
from .limits import Limits
from .places import Places
from .text import quote_text


def connect() -> duckdb.DuckDBPyConnection:
    """A connection to a new, empty database of its own."""
    return duckdb.connect(":memory:")


def prepare(
    execution: Execution, task_id: str, limits: Limits, places: Places, export_path: str | None
) -> None:
    """Settings, then the lock-down; the only file that may be written is ``export_path``."""
    statements = (*_settings(limits, places), *_lock_down(places, export_path))
    execution.script(task_id, ";\n".join(statements), {})


def _settings(limits: Limits, places: Places) -> Iterable[str]:
    yield f"SET memory_limit = '{limits.engine_bytes}B'"
    yield f"SET threads = {limits.threads}"
    yield f"SET temp_directory = {quote_text(places.engine_spill)}"
    yield f"SET max_temp_directory_size = '{limits.spill_bytes}B'"
    yield "SET TimeZone = 'UTC'"
    # The footers of a few files need not be read again by the run that follows the binding. Those of many
    # would take memory that DuckDB does not count: about 0.5 KiB a column and file.
    yield f"SET parquet_metadata_cache = {'true' if sources.are_few(places) else 'false'}"
    yield "SET enable_progress_bar = true"  # else the engine does not tell its progress
    yield "SET enable_progress_bar_print = false"
    yield "SET errors_as_json = true"  # for the place of an error
    yield "SET python_enable_replacements = false"  # a table's name must never find a variable of the worker
    yield "SET autoinstall_known_extensions = false"
    yield "SET autoload_known_extensions = false"
    yield "SET allow_community_extensions = false"
    yield "SET allow_persistent_secrets = false"


def _lock_down(places: Places, export_path: str | None) -> Iterable[str]:
    yield f"SET allowed_directories = [{quote_text(os.path.realpath(places.data_dir))}]"
    if export_path is not None:
        yield f"SET allowed_paths = [{quote_text(export_path)}]"
    yield "SET enable_external_access = false"
    yield "SET lock_configuration = true"
