"""Where the worker finds its directories.

All are arguments, so that it runs as an ordinary process on any machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .contract import DATA_DIR, SPILL_DIR, TASK_DIR, TERMINATION_LOG


@dataclass(frozen=True, slots=True)
class Places:
    """The worker's view of the file system; see ``contract`` for what each directory is."""

    task_dir: str = TASK_DIR
    data_dir: str = DATA_DIR
    spill_dir: str = SPILL_DIR
    termination_log: str = TERMINATION_LOG

    @property
    def engine_spill(self) -> str:
        """DuckDB's own temporary files; a folder of their own, so that nothing else below ``spill_dir`` can
        be mistaken for them.
        """
        return os.path.join(self.spill_dir, "duckdb")
