"""What lists are filtered and ordered by, and the words of the SQL: filled for the tasks that are there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from querytask.core.sql_text import normal_hash

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

_AT_ONCE = 1000
_PLACES = 32768
_NEW = (
    sa.Column("place", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("moved", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("duration", sa.Double, nullable=False, server_default="-1"),
    sa.Column("ended", sa.BigInteger, nullable=False, server_default="-1"),
    sa.Column("export_status", _TEXT, nullable=False, server_default="NotApplicable"),
)
# A task's place is the first of its moment of creation, or the one after the task before it.
_NUMBERED = f"""
SELECT uid, number + max(created_at * {_PLACES} - number) OVER (ORDER BY number) AS place, version FROM (
    SELECT uid, created_at, row_number() OVER (ORDER BY created_at, uid) AS number,
        row_number() OVER (PARTITION BY namespace ORDER BY updated_at, uid) AS version
    FROM tasks) AS counted
"""
_FILL = f"""
UPDATE tasks SET place = n.place, version = n.version, moved = n.version,
    duration = coalesce(execution_seconds, -1), ended = coalesce(completed_at, -1),
    export_status = coalesce((SELECT state FROM exports WHERE exports.uid = tasks.uid), 'NotApplicable')
FROM ({_NUMBERED}) AS n WHERE n.uid = tasks.uid
"""
_INDEXES = {
    "ix_tasks_created": ("place",),
    "ix_tasks_updated": ("version",),
    "ix_tasks_duration": ("duration", "place", "moved"),
    "ix_tasks_finished": ("ended", "place", "moved"),
    "ix_tasks_name": ("name", "place"),
    "ix_tasks_phases": ("phase", "place"),
    "ix_tasks_owner": ("owner", "place"),
    "ix_tasks_export": ("export_status", "place"),
}
_WORDS = """CREATE VIRTUAL TABLE task_words USING fts5(sql, content='', contentless_delete=1, detail=none,
    tokenize="unicode61 remove_diacritics 0 tokenchars '_'")"""
_FILL_WORDS = """INSERT INTO task_words (rowid, sql)
    SELECT place, sql FROM tasks JOIN queries ON hash = sql_hash ORDER BY place"""
_TRIGGERS = (
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


_WORDS_ON_POSTGRESQL = (
    """CREATE TABLE task_words (
    rowid BIGINT NOT NULL CONSTRAINT pk_task_words PRIMARY KEY
        CONSTRAINT fk_task_words_rowid_tasks REFERENCES tasks (place) ON DELETE CASCADE,
    words TSVECTOR NOT NULL)""",
    "CREATE INDEX ix_task_words_words ON task_words USING gin (words)",
)


def upgrade() -> None:
    """Add the columns, fill them, and index them."""
    for column in _NEW:
        op.add_column("tasks", column)
    op.execute(_FILL)
    _moves()
    op.create_index("ix_tasks_place", "tasks", ["place"], unique=True)
    for name, columns in _INDEXES.items():
        op.create_index(name, "tasks", ["namespace", *columns])
    _normal_hashes()
    words = {"sqlite": (_WORDS, _FILL_WORDS, *_TRIGGERS), "postgresql": _WORDS_ON_POSTGRESQL}
    for statement in words[op.get_bind().dialect.name]:
        op.execute(sa.text(statement))


def _moves() -> None:
    op.create_table(
        "versions",
        sa.Column("namespace", _TEXT, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("namespace", name="pk_versions"),
    )
    op.execute(
        "INSERT INTO versions (namespace, version)"
        " SELECT namespace, max(version) FROM tasks GROUP BY namespace"
    )
    op.create_table(
        "moves",
        sa.Column("namespace", _TEXT, nullable=False),
        sa.Column("until_version", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("key", sa.Double, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("since_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("namespace", "until_version", "kind", name="pk_moves"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_moves_kind", "moves", ["namespace", "kind", "key", "place", "until_version", "since_version"]
    )


def _normal_hashes() -> None:
    op.add_column("queries", sa.Column("normal_hash", _DIGEST, nullable=False, server_default=""))
    connection, last = op.get_bind(), ""
    page = sa.text("SELECT hash, sql FROM queries WHERE hash > :last ORDER BY hash LIMIT :most")
    fill = sa.text("UPDATE queries SET normal_hash = :normal WHERE hash = :hash")
    while rows := connection.execute(page, {"last": last, "most": _AT_ONCE}).all():
        connection.execute(fill, [{"hash": key, "normal": normal_hash(sql)} for key, sql in rows])
        last = rows[-1][0]
    op.create_index("ix_queries_normal_hash", "queries", ["normal_hash"])
