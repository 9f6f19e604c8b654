"""The history: every task, attempt, export and transition, in a database that outlives objects, pods and
the operator.

The only package that knows SQL. ``open_history`` and ``open_database`` make the ``Store`` that the others are
given, on SQLite and on PostgreSQL; ``records`` says what goes in.
"""

from querytask.adapters.store.address import shown
from querytask.adapters.store.api_tables import ApiTables, AuditRecord, KeyRecord
from querytask.adapters.store.backup import check_file as check_history
from querytask.adapters.store.backups import Backup, Backups
from querytask.adapters.store.backups import listed as list_backups
from querytask.adapters.store.copying import Copied, copy_history
from querytask.adapters.store.interface import Store
from querytask.adapters.store.lock import HistoryLock
from querytask.adapters.store.opening import open_database, open_history
from querytask.adapters.store.postgresql_lock import DatabaseLock
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
from querytask.adapters.store.restore import stage as stage_restore
from querytask.adapters.store.unused import moving

__all__ = [
    "ApiTables",
    "AttemptRecord",
    "AuditRecord",
    "Backup",
    "Backups",
    "CancelRecord",
    "Copied",
    "DatabaseLock",
    "DueExport",
    "Ending",
    "ExportRecord",
    "HistoryFigures",
    "HistoryLock",
    "KeyRecord",
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
    "check_history",
    "copy_history",
    "damaged_files",
    "list_backups",
    "moving",
    "open_database",
    "open_history",
    "prepare_history",
    "shown",
    "stage_restore",
]
