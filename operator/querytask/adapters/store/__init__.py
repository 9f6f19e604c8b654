"""The history: every task, attempt, export and transition, in a database that outlives objects, pods and
the operator.

The only package that knows SQL. ``open_history`` makes the ``Store`` that the others are given; ``records``
says what goes in.
"""

from querytask.adapters.store.backups import Backup, Backups
from querytask.adapters.store.history import open_history
from querytask.adapters.store.interface import Store
from querytask.adapters.store.lock import HistoryLock
from querytask.adapters.store.purge import Purged
from querytask.adapters.store.records import (
    AttemptRecord,
    CancelRecord,
    DueExport,
    Ending,
    ExportRecord,
    HistoryFigures,
    PhaseFigures,
    ResultRecord,
    StoredTask,
    TaskKey,
    TaskRecord,
    TaskSummary,
    ToldTransition,
    TransitionRecord,
)
from querytask.adapters.store.restore import Prepared, damaged_files, prepare_history

__all__ = [
    "AttemptRecord",
    "Backup",
    "Backups",
    "CancelRecord",
    "DueExport",
    "Ending",
    "ExportRecord",
    "HistoryFigures",
    "HistoryLock",
    "PhaseFigures",
    "Prepared",
    "Purged",
    "ResultRecord",
    "Store",
    "StoredTask",
    "TaskKey",
    "TaskRecord",
    "TaskSummary",
    "ToldTransition",
    "TransitionRecord",
    "damaged_files",
    "open_history",
    "prepare_history",
]
