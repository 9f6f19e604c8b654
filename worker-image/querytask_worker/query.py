"""Runs the user's script once: what prepares, then the query, into a file or into a count with the first
rows.

How a result is written and how its preview comes from that same run is decided here (``docs/decisions/``):

* an export is one COPY of the query, and the preview is read back from the head of the file;
* where the file cannot hold a type's values, the result goes through a temporary table first, and both come
  from that;
* without an export DuckDB counts the rows and keeps the first ones, so the query runs to its end and nothing
  is stored;
* an EXPLAIN can be held by no statement: its few rows are fetched, and stored where they are to be exported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from . import classify, export, preview, readback
from .contract import PREVIEW_BYTES, Assignment, Column, Export, Preview
from .execution import Execution
from .parameters import Bound
from .policy import Script
from .text import Piece, quote_text, with_types

STORED = "querytask_result"


@dataclass(frozen=True, slots=True)
class Result:
    """What the query gave; the file, if there is one, lies complete under its partial name."""

    rows: int
    columns: tuple[Column, ...]
    preview: Preview | None = None
    """``None`` where it is to be read back from the file."""


@dataclass(slots=True)
class Query:
    """One run of a script."""

    execution: Execution
    task_id: str
    assignment: Assignment
    script: Script
    bound: Bound
    context: classify.Context
    partial: str
    """The file that an export writes."""
    prepared: int = 0
    """How many of the script's statements have run."""

    def run(self) -> Result:
        """Raises ``Fault`` or ``Stopped``."""
        for piece in self.script.prelude:
            self._user(piece, "", "")
            self.prepared += 1
        return self._explain() if self.script.explains else self._select()

    def preview(self, result: Result) -> Preview:
        """The first rows of the result. Raises ``Stopped``."""
        wanted = self.assignment.export
        if result.preview is not None or wanted is None:
            return result.preview or Preview()
        limit = self._limit(result.columns)
        return readback.read(
            self.execution, self.task_id, self.partial, wanted, result.columns, result.rows, limit
        )

    def percent(self) -> int | None:
        """How far the script is, 0 to 99, each statement counting the same; ``None`` if nobody can tell."""
        running = self.execution.progress(self.task_id)
        if running < 0:
            return None
        return min(99, int((100 * self.prepared + running) / (len(self.script.prelude) + 1)))

    def _select(self) -> Result:
        columns = self._describe()
        wanted = self.assignment.export
        if wanted is None:
            return self._count(columns)
        types = [column.type for column in columns]
        if not export.keeps_values(wanted, types):
            self._store(columns)
            return self._copy_stored(wanted, columns)
        rows = int(self._user(self.script.query, *self._copy_around(wanted, columns))[0][0])
        return Result(rows, columns)

    def _describe(self) -> tuple[Column, ...]:
        """The result's columns, told by the binder alone: nothing runs."""
        wrap = ("DESCRIBE SELECT * FROM (\n", "\n)") if self.script.wrapped else ("DESCRIBE\n", "")
        return tuple(Column(name=row[0], type=row[1]) for row in self._user(self.script.query, *wrap))

    def _copy_around(self, wanted: Export, columns: tuple[Column, ...]) -> tuple[str, str]:
        end = f") TO {quote_text(self.partial)} {export.copy_options(wanted)}"
        names = [column.name for column in columns]
        unique = export.unique_names(names)
        if wanted.format == "JSON" and unique != names:  # the other formats number equal names by themselves
            return "COPY (SELECT * FROM (\n", f"\n) AS r({preview.alias_list(unique)}){end}"
        if self.script.wrapped:
            return "COPY (SELECT * FROM (\n", f"\n){end}"
        return "COPY (\n", f"\n{end}"

    def _count(self, columns: tuple[Column, ...]) -> Result:
        types = [column.type for column in columns]
        limit = self._limit(columns)
        names = preview.alias_list(preview.names_of(len(types)))
        head = f"CASE WHEN row_number() OVER () <= {limit} THEN {preview.row_expression(types)} END"
        before = (
            f"SELECT count(*), list(cells) FILTER (cells IS NOT NULL) FROM (SELECT {head} AS cells FROM (\n"
        )
        rows, cells = self._user(self.script.query, before, f"\n) AS r({names}))")[0]
        return Result(rows, columns, preview.build(cells or [], more=rows > limit))

    def _store(self, columns: tuple[Column, ...]) -> None:
        names = preview.alias_list(preview.names_of(len(columns)))
        self._user(
            self.script.query, f"CREATE TEMP TABLE {self._stored} AS SELECT * FROM (\n", f"\n) AS r({names})"
        )

    def _copy_stored(self, wanted: Export, columns: tuple[Column, ...]) -> Result:
        names = preview.names_of(len(columns))
        listed = export.select_list(export.unique_names(column.name for column in columns), names)
        target = f"{quote_text(self.partial)} {export.copy_options(wanted)}"
        rows = int(self._own(f"COPY (SELECT {listed} FROM {self._stored}) TO {target}")[0][0])
        return Result(rows, columns, self._stored_head(columns, rows))

    def _stored_head(self, columns: tuple[Column, ...], rows: int) -> Preview:
        limit = self._limit(columns)
        cells = preview.row_expression([column.type for column in columns])
        head = self._own(f"SELECT {cells} FROM {self._stored} LIMIT {limit}")
        return preview.build((row[0] for row in head), more=rows > limit)

    def _explain(self) -> Result:
        plan = self._user(self.script.query, "", "")
        columns = (Column("explain_key", "VARCHAR"), Column("explain_value", "VARCHAR"))
        self._own(f"CREATE TEMP TABLE {self._stored} (c0 VARCHAR, c1 VARCHAR)")
        for key, value in plan:
            self._own(f"INSERT INTO {self._stored} VALUES ($key, $value)", {"key": key, "value": value})
        if self.assignment.export is not None:
            return self._copy_stored(self.assignment.export, columns)
        return Result(len(plan), columns, self._stored_head(columns, len(plan)))

    def _limit(self, columns: tuple[Column, ...]) -> int:
        """How many rows a preview shows: as many as were asked for and could fit, at two bytes a cell."""
        return min(self.assignment.preview_rows, PREVIEW_BYTES // (2 * max(1, len(columns))))

    @property
    def _stored(self) -> str:
        """A name that the user's script does not have."""
        name = STORED
        while name in self.assignment.sql.lower():
            name += "_"
        return name

    def _user(self, piece: Piece, before: str, after: str) -> list[tuple[Any, ...]]:
        """Run a piece of the user's with our own text around it."""
        text, edits = with_types(piece.text, self.bound.untyped)
        prefix = len(before.encode())
        context = dataclasses.replace(self.context, piece=piece, prefix_bytes=prefix, edits=edits)
        return self._run(before + text + after, self.bound.values, context)

    def _own(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._run(
            statement,
            values or {},
            dataclasses.replace(self.context, prefix_bytes=len(statement.encode()) + 1),
        )

    def _run(self, text: str, values: Mapping[str, Any], context: classify.Context) -> list[tuple[Any, ...]]:
        try:
            return self.execution.script(self.task_id, text, values)
        except (duckdb.Error, MemoryError) as error:
            raise classify.fault(error, context) from error
