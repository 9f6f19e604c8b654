"""The history: every task, attempt, export and transition, in a database that outlives objects, pods and
the operator.

The only package that knows SQL. ``open_history`` makes the ``Store`` that the others are given; ``records``
says what goes in.
"""

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

__all__ = [
    "AttemptRecord",
    "CancelRecord",
    "DueExport",
    "Ending",
    "ExportRecord",
    "HistoryFigures",
    "HistoryLock",
    "PhaseFigures",
    "Purged",
    "ResultRecord",
    "Store",
    "StoredTask",
    "TaskKey",
    "TaskRecord",
    "TaskSummary",
    "ToldTransition",
    "TransitionRecord",
    "open_history",
]
