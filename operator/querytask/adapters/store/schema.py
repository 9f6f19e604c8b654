"""The tables of the history as the code of this release knows them; ``migrations`` brings every older
database here.

For ``steps`` and ``queries``. Row after row is found through an index: each partial index below is named
after the one question that it answers, and its condition stands in the question word for word, because a
planner uses a partial index only then.

    queries      SQL texts, each once, by their SHA-256
    tasks        one row a task, live and finished
    task_words   which words stand in the SQL of which task; each database has its own index of words
    versions     how many changes each namespace has seen
    moves        where tasks stood in the orders that change: a list that began before goes on as it was
    results      columns and first rows of tasks that succeeded: apart, for they are long
    attempts     one row an attempt
    exports      one row for each published manifest
    transitions  one row a step; ``id`` orders them all
    heartbeat    one row, overwritten to prove that writing works
    api_…        what the API alone writes: ``api_tables``
"""

from __future__ import annotations

import sqlalchemy as sa

from querytask.adapters.store.columns import DIGEST, Json, Moment, Words
from querytask.names import ExportState

HEAD = "0004"
"""The newest migration: what this release reads and writes."""

tables = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

queries = sa.Table(
    "queries",
    tables,
    sa.Column("hash", DIGEST, primary_key=True),
    sa.Column("sql", Words, nullable=False),
    sa.Column("normal_hash", DIGEST, nullable=False, server_default=""),
)

tasks = sa.Table(
    "tasks",
    tables,
    sa.Column("uid", Words, primary_key=True),
    sa.Column("namespace", Words, nullable=False),
    sa.Column("name", Words, nullable=False),
    sa.Column("owner", Words, nullable=False),
    sa.Column("task_type", Words, nullable=False),
    sa.Column("template", Words),
    sa.Column("retry_of", Words),
    sa.Column("phase", Words, nullable=False),
    sa.Column("phase_since", Moment, nullable=False),
    sa.Column("reason", Words),
    sa.Column("message", Words, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("queued_at", Moment),
    sa.Column("started_at", Moment),
    sa.Column("completed_at", Moment),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("execution_seconds", sa.Double),
    sa.Column("ttl_due_at", Moment),
    sa.Column("object_deleted_at", Moment),
    sa.Column("cancel_requested_at", Moment),
    sa.Column("cancel_reason", Words),
    sa.Column("cancel_step", Words),
    sa.Column("cancel_finished_at", Moment),
    sa.Column("cancel_actor", Words),
    sa.Column("error_category", Words),
    sa.Column("error_code", Words),
    sa.Column("error_message", Words),
    sa.Column("error_position", Words),
    sa.Column("error_retryable", sa.Boolean),
    sa.Column("error_traceback", Words),
    sa.Column("sql_hash", DIGEST, sa.ForeignKey("queries.hash"), nullable=False),
    sa.Column("parameters", Json, nullable=False),
    sa.Column("sources", Json, nullable=False),
    sa.Column("resources", Json, nullable=False),
    sa.Column("spec", Json, nullable=False),
    sa.Column("metadata", Json, nullable=False),
    sa.Column("statistics", Json, nullable=False),
    # What lists are filtered and ordered by, beside the above; ``steps`` fills them from it.
    sa.Column("place", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("moved", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("duration", sa.Double, nullable=False, server_default="-1"),
    sa.Column("ended", sa.BigInteger, nullable=False, server_default="-1"),
    sa.Column("export_status", Words, nullable=False, server_default=ExportState.NOT_APPLICABLE.value),
)
"""``place`` orders all tasks by ``created_at``, equal ones by when they became known, and never changes.
``version`` grows with each change in a namespace, so it orders by ``updated_at``. ``duration`` and ``ended``
are ``execution_seconds`` and ``completed_at`` with -1 for none; ``moved`` is the version at which one of them
last changed."""

versions = sa.Table(
    "versions",
    tables,
    sa.Column("namespace", Words, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)
"""The last version that was handed out: a row of its own, for a purge must not make one come again."""

moves = sa.Table(
    "moves",
    tables,
    sa.Column("namespace", Words, primary_key=True),
    sa.Column("until_version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", Words, primary_key=True),
    sa.Column("key", sa.Double, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    sa.Column("since_version", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""In the order ``kind`` the task of ``place`` stood at ``key`` since one version, until the other took it
away."""


def _task() -> sa.Column[str]:
    return sa.Column("uid", Words, sa.ForeignKey("tasks.uid", ondelete="CASCADE"), primary_key=True)


results = sa.Table(
    "results",
    tables,
    _task(),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("columns", Json, nullable=False),
    sa.Column("preview", Json, nullable=False),
    sa.Column("truncated", sa.Boolean, nullable=False),
)

attempts = sa.Table(
    "attempts",
    tables,
    _task(),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("pod_name", Words, nullable=False),
    sa.Column("granted_at", Moment),
    sa.Column("started_at", Moment),
    sa.Column("finished_at", Moment),
    sa.Column("reason", Words),
    sa.Column("message", Words, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("node", Words),
    sa.Column("statistics", Json, nullable=False),
)

exports = sa.Table(
    "exports",
    tables,
    _task(),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", Words, nullable=False),
    sa.Column("path", Words),
    sa.Column("format", Words),
    sa.Column("compression", Words),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("rows", sa.BigInteger),
    sa.Column("sha256", DIGEST),
    sa.Column("files", Json, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("removed_at", Moment),
)

transitions = sa.Table(
    "transitions",
    tables,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("uid", Words, sa.ForeignKey("tasks.uid", ondelete="CASCADE"), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("phase", Words, nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("message", Words, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("source", Words, nullable=False),
    sa.Column("actor", Words),
    sa.UniqueConstraint("uid", "attempt", "phase", "reason", name="uq_transitions_step"),
    sqlite_autoincrement=True,
)

heartbeat = sa.Table(
    "heartbeat",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
)

IS_OPEN = sa.and_(tasks.c.completed_at.is_(None), tasks.c.object_deleted_at.is_(None))
"""The task has no end yet and its object is not known to be deleted."""
IS_PRESENT = tasks.c.object_deleted_at.is_(None)
"""The object is not known to be deleted."""
HAS_TTL = sa.and_(tasks.c.ttl_due_at.is_not(None), tasks.c.object_deleted_at.is_(None))
IS_KEPT = sa.and_(tasks.c.completed_at.is_not(None), tasks.c.object_deleted_at.is_not(None))
"""The task has its end and its object is gone: it is here for the sake of the history alone."""
HAS_FILES = sa.and_(exports.c.removed_at.is_(None), exports.c.expires_at.is_not(None))


def _partial(name: str, condition: sa.ColumnElement[bool], *columns: sa.Column[object]) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_partial("ix_tasks_open", IS_OPEN, tasks.c.namespace, tasks.c.name)
_partial("ix_tasks_present", IS_PRESENT, tasks.c.namespace, tasks.c.uid)
# The last column is always NULL here: without it the planner would fetch each row to look at it.
_partial("ix_tasks_phase", IS_PRESENT, tasks.c.phase, tasks.c.phase_since, tasks.c.object_deleted_at)
_partial("ix_tasks_ttl", HAS_TTL, tasks.c.ttl_due_at)
_partial("ix_exports_due", HAS_FILES, exports.c.expires_at)
_partial("ix_tasks_kept", IS_KEPT, tasks.c.updated_at, tasks.c.uid)
# Whether anybody still has a text is asked when a task is forgotten, and by the foreign key.
sa.Index("ix_tasks_sql_hash", tasks.c.sql_hash)

# What lists are found by: each holds the place last, and so the rows in the order of creation.
sa.Index("ix_tasks_place", tasks.c.place, unique=True)
sa.Index("ix_tasks_created", tasks.c.namespace, tasks.c.place)
sa.Index("ix_tasks_updated", tasks.c.namespace, tasks.c.version)
sa.Index("ix_tasks_duration", tasks.c.namespace, tasks.c.duration, tasks.c.place, tasks.c.moved)
sa.Index("ix_tasks_finished", tasks.c.namespace, tasks.c.ended, tasks.c.place, tasks.c.moved)
sa.Index("ix_tasks_name", tasks.c.namespace, tasks.c.name, tasks.c.place)
sa.Index("ix_tasks_phases", tasks.c.namespace, tasks.c.phase, tasks.c.place)
sa.Index("ix_tasks_owner", tasks.c.namespace, tasks.c.owner, tasks.c.place)
sa.Index("ix_tasks_export", tasks.c.namespace, tasks.c.export_status, tasks.c.place)
sa.Index("ix_queries_normal_hash", queries.c.normal_hash)
sa.Index(
    "ix_moves_kind",
    *[moves.c[name] for name in ("namespace", "kind", "key", "place", "until_version", "since_version")],
)

WORDS = (
    """CREATE VIRTUAL TABLE task_words USING fts5(sql, content='', contentless_delete=1, detail=none,
    tokenize="unicode61 remove_diacritics 0 tokenchars '_'")""",
    """CREATE TRIGGER task_words_insert AFTER INSERT ON tasks BEGIN
    INSERT INTO task_words (rowid, sql) SELECT NEW.place, sql FROM queries WHERE hash = NEW.sql_hash;
    END""",
    """CREATE TRIGGER task_words_update AFTER UPDATE OF sql_hash ON tasks
    WHEN OLD.sql_hash <> NEW.sql_hash BEGIN
    DELETE FROM task_words WHERE rowid = OLD.place;
    INSERT INTO task_words (rowid, sql) SELECT NEW.place, sql FROM queries WHERE hash = NEW.sql_hash;
    END""",
    """CREATE TRIGGER task_words_delete AFTER DELETE ON tasks BEGIN
    DELETE FROM task_words WHERE rowid = OLD.place;
    END""",
)
"""The index of words, on SQLite: triggers, so that no writer and no cascade can forget it."""
WORDS_ON_POSTGRESQL = (
    """CREATE TABLE task_words (
    rowid BIGINT NOT NULL CONSTRAINT pk_task_words PRIMARY KEY
        CONSTRAINT fk_task_words_rowid_tasks REFERENCES tasks (place) ON DELETE CASCADE,
    words TSVECTOR NOT NULL)""",
    "CREATE INDEX ix_task_words_words ON task_words USING gin (words)",
)
"""The same on PostgreSQL, which cannot split a text into words as SQLite does: ``steps`` fills it, in the
step that brings a text, and the foreign key lets no purge forget it. The columns are named so that one
question serves both."""
for _name, _statements in (("sqlite", WORDS), ("postgresql", WORDS_ON_POSTGRESQL)):
    for _statement in _statements:
        _made = sa.DDL(_statement)  # type: ignore[no-untyped-call]
        sa.event.listen(tables, "after_create", _made.execute_if(dialect=_name))
