"""The values that an absent field of a task's spec stands for, where another field decides them and no
schema default can."""

from __future__ import annotations

from querytask.api.task import QueryTask
from querytask.api.task_spec import Compression, Export, Format

FILE_NAME_LENGTH = 200
"""What a file's name may take before its ending, in bytes."""

_ENDINGS = {Format.PARQUET: ".parquet", Format.CSV: ".csv", Format.JSON: ".json"}
_COMPRESSED = {Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}


def compression(export: Export) -> Compression:
    """The compression of an export: Zstd for Parquet, none for text, unless it says otherwise."""
    if export.compression is not None:
        return export.compression
    return Compression.ZSTD if export.format is Format.PARQUET else Compression.UNCOMPRESSED


def ending(export: Export) -> str:
    """The ending of an export's file: ``.parquet``, ``.csv``, ``.csv.gz``, ``.json.zst``…; a Parquet file
    compresses inside."""
    outer = "" if export.format is Format.PARQUET else _COMPRESSED.get(compression(export), "")
    return _ENDINGS[export.format] + outer


def file_name(task: QueryTask) -> str:
    """The name of the task's exported file with its ending, each part of which is added only where it is
    missing.

    Raises ``ValueError`` when the task exports nothing.
    """
    export = task.spec.export
    if export is None:
        raise ValueError(f"spec.export of QueryTask {task.metadata.name} must be set")
    name = export.file_name if export.file_name is not None else task.metadata.name[:FILE_NAME_LENGTH]
    whole, inner = ending(export), _ENDINGS[export.format]
    if name.endswith(whole) and name != whole:
        return name
    return name + whole.removeprefix(inner) if name.endswith(inner) else name + whole
