"""Every older schema comes forward to this release's, and a newer one is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from querytask import errors
from querytask.adapters.store import migrate, open_history, placing, schema, sqlite
from querytask.core import sql_text
from tests.component.store.builders import task
from tests.component.store.databases import Database, Postgresql

REVISIONS = [script.revision for script in reversed(list(migrate.scripts().walk_revisions()))]


def of_the_code(name: str | None, kind: str, parents: object) -> bool:
    """Whether a comparison looks at it: the tables of the index of words are each database's own."""
    return kind != "table" or not str(name).startswith("task_words")


@pytest.fixture
def engine(blank: Database) -> Iterator[sa.Engine]:
    engine = blank.writing()
    yield engine
    engine.dispose()


SQLITE = pytest.mark.parametrize("dialect", ["sqlite"])
"""There is no PostgreSQL of an older schema; what it has now, is compared below."""


def test_the_newest_migration_is_named_in_the_schema() -> None:
    """``HEAD`` lets a start that has nothing to migrate go without Alembic; so it must not lag behind."""
    assert migrate.scripts().get_heads() == [schema.HEAD]


@pytest.mark.parametrize("start", [None, *REVISIONS])
def test_every_revision_comes_forward(engine: sa.Engine, start: str | None) -> None:
    """From an empty file and from each schema there ever was, the tables come out as the code knows them."""
    with engine.connect() as connection:
        with connection.begin():
            if start is not None:
                migrate.migrate(connection, start)
        with connection.begin():
            migrate.migrate(connection)
        with connection.begin():
            assert migrate.revision(connection) == schema.HEAD
            options = {"compare_type": True, "include_name": of_the_code}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, schema.tables) == []


@SQLITE
def test_partial_indexes_have_the_conditions_of_the_code(engine: sa.Engine, tmp_path: Path) -> None:
    """The comparison above does not look at conditions, which decide whether the planner uses an index."""

    def conditions(connection: sa.Connection) -> dict[str, str]:
        found = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%INDEX%WHERE%'"
        )
        return {
            name: text.partition("WHERE ")[2].replace("tasks.", "").replace("exports.", "")
            for name, text in found
        }

    with engine.connect() as connection, connection.begin():
        migrate.migrate(connection)
        migrated = conditions(connection)
    other = sqlite.writing(tmp_path / "other.db", 5, create=True)
    with other.connect() as connection, connection.begin():
        schema.tables.create_all(connection)
        assert conditions(connection) == migrated
    assert len(migrated) == 6


@SQLITE
def test_what_only_sqlite_has_is_as_in_the_code(engine: sa.Engine, tmp_path: Path) -> None:
    """The index of words, its triggers, and the order of every index's columns."""

    def found(connection: sa.Connection) -> set[str]:
        rows = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type <> 'table' OR name = 'task_words'"
        )
        return {" ".join(row[0].split()) for row in rows if " WHERE " not in row[0] or "TRIGGER" in row[0]}

    with engine.connect() as connection, connection.begin():
        migrate.migrate(connection)
        migrated = found(connection)
    other = sqlite.writing(tmp_path / "other.db", 5, create=True)
    with other.connect() as connection, connection.begin():
        schema.tables.create_all(connection)
        assert found(connection) == migrated
    assert len(migrated) == 19


OLD_TASKS = (
    # uid, namespace, created_at, updated_at, completed_at, execution_seconds, SQL
    ("b", "x", 1000, 5, None, None, "SELECT late"),
    ("a", "x", 1000, 9, 2000, 1.5, "select  late -- same"),
    ("c", "x", 500, 7, 3000, None, "SELECT late"),
    ("d", "y", 1000, 1, None, 0.0, "SELECT 'x'"),
)


def old_history(connection: sa.Connection) -> None:
    """Rows as the first schema had them."""
    fixed = {
        **dict.fromkeys(("name", "owner", "task_type", "phase", "message"), "n"),
        **dict.fromkeys(("attempt", "priority", "phase_since"), 0),
        **dict.fromkeys(("parameters", "sources"), "[]"),
        **dict.fromkeys(("resources", "spec", "metadata", "statistics"), "{}"),
    }
    names = ("uid", "namespace", "created_at", "updated_at", "completed_at", "execution_seconds", "sql_hash")
    for item in OLD_TASKS:
        row = fixed | dict(zip(names, item, strict=True))
        text = sa.text("INSERT OR IGNORE INTO queries (hash, sql) VALUES (:sql_hash, :sql_hash)")
        connection.execute(text, row)
        columns = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(sa.text(f"INSERT INTO tasks ({columns}) VALUES ({values})"), row)
    exported = "INSERT INTO exports (uid, attempt, state, files) VALUES ('c', 1, 'Expired', '[]')"
    connection.exec_driver_sql(exported)


DEFINITIONS = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, collation_name,
    is_nullable, column_default) FROM information_schema.columns WHERE table_schema = 'public'
"""


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_what_postgresql_has_is_as_in_the_code(engine: sa.Engine, url: str) -> None:
    """Every index with its columns and its condition, every key, and of every column its type, its default
    and that its text compares as its bytes do."""

    def found(connection: sa.Connection) -> set[str]:
        rows = connection.exec_driver_sql(DEFINITIONS).scalars()
        return {row for row in rows if "alembic_version" not in row}

    with engine.connect() as connection, connection.begin():
        schema.tables.create_all(connection)
        in_code = found(connection)
    with Postgresql(url).writing().connect() as connection, connection.begin():
        assert found(connection) == in_code
    texts = [line for line in in_code if " text " in line or " character varying " in line]
    assert len(texts) > 50
    assert all(" C " in line for line in texts), texts


@SQLITE
def test_tasks_of_the_first_schema_can_be_listed(engine: sa.Engine) -> None:
    """They are placed, numbered and indexed as if this release had written them."""
    with engine.connect() as connection, connection.begin():
        migrate.migrate(connection, "0001")
        old_history(connection)
        migrate.migrate(connection)
        listed = "SELECT uid, place, version, moved, duration, ended, export_status FROM tasks ORDER BY place"
        places = placing.PLACES
        assert connection.exec_driver_sql(listed).fetchall() == [
            ("c", 500 * places, 2, 2, -1.0, 3000, "Expired"),
            ("a", 1000 * places, 3, 3, 1.5, 2000, "NotApplicable"),
            ("b", 1000 * places + 1, 1, 1, -1.0, -1, "NotApplicable"),
            ("d", 1000 * places + 2, 1, 1, 0.0, -1, "NotApplicable"),
        ]
        told = connection.exec_driver_sql("SELECT namespace, version FROM versions ORDER BY namespace")
        assert told.fetchall() == [("x", 3), ("y", 1)]
        words = (
            "SELECT uid FROM task_words JOIN tasks ON place = task_words.rowid WHERE task_words MATCH 'late'"
        )
        assert set(connection.exec_driver_sql(words).scalars()) == {"a", "b", "c"}
        hashes = connection.exec_driver_sql("SELECT normal_hash FROM queries ORDER BY sql").scalars().all()
        assert hashes == [sql_text.normal_hash(text) for text in sorted({item[6] for item in OLD_TASKS})]
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        connection.exec_driver_sql("INSERT INTO task_words (task_words) VALUES ('integrity-check')")


def test_a_migration_that_breaks_off_leaves_nothing(engine: sa.Engine) -> None:
    """It is one transaction: the file is as it was, and the next start tries again."""
    with engine.connect() as connection:
        unfinished = connection.begin()
        migrate.migrate(connection)
        unfinished.rollback()
        with connection.begin():
            assert sa.inspect(connection).get_table_names() == []
            migrate.migrate(connection)


async def test_a_newer_schema_is_refused(blank: Database) -> None:
    """With what to do; the database is left as it is."""
    await (await blank.open()).close()
    engine = blank.writing()
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        errors.StoreSchemaTooNew, match=r"9999, newer than .* install the release that wrote it"
    ):
        await blank.open()
    with pytest.raises(errors.StoreSchemaTooNew):
        await blank.open(migrating=False)
    with engine.connect() as connection, connection.begin():
        assert migrate.revision(connection) == "9999"
    engine.dispose()


async def test_who_does_not_migrate_makes_no_file(tmp_path: Path) -> None:
    """Where there is none."""
    with pytest.raises(errors.StoreUnavailable):
        await open_history(tmp_path, migrating=False)
    assert os.listdir(tmp_path) == []


async def test_who_does_not_migrate_waits_for_who_does(blank: Database) -> None:
    """A process beside the operator never makes or changes the schema."""
    engine = blank.writing()
    engine.connect().close()
    with pytest.raises(errors.StoreUnavailable, match="has to start first") as caught:
        await blank.open(migrating=False)
    assert caught.value.fault == "Outdated"
    with engine.connect() as connection, connection.begin():
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()


async def test_starts_at_one_time_migrate_once(blank: Database) -> None:
    """The others wait, and find the schema as it should be."""
    stores = await asyncio.gather(*[blank.open() for _ in range(4)])
    assert (await stores[0].record(task())).task == (await stores[3].record(task())).task
    for store in stores:
        await store.close()


async def test_rows_survive_the_next_start(blank: Database) -> None:
    """Opening what is there keeps it."""
    history = await blank.open()
    stored = await history.record(task())
    await history.close()
    again = await blank.open()
    assert await again.get("uid-1") == stored
    await again.close()
