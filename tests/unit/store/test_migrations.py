"""Every older schema comes forward to this release's, and a newer one is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from querytask import errors
from querytask.adapters.store import migrate, open_history, schema, sqlite
from tests.unit.store.builders import task

REVISIONS = [script.revision for script in reversed(list(migrate.scripts().walk_revisions()))]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sqlite.writing(tmp_path / sqlite.FILE_NAME, 5, create=True)
    yield engine
    engine.dispose()


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
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, schema.tables) == []


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
    assert len(migrated) == 5


def test_a_migration_that_breaks_off_leaves_nothing(engine: sa.Engine) -> None:
    """It is one transaction: the file is as it was, and the next start tries again."""
    with engine.connect() as connection:
        unfinished = connection.begin()
        migrate.migrate(connection)
        unfinished.rollback()
        with connection.begin():
            assert sa.inspect(connection).get_table_names() == []
            migrate.migrate(connection)


async def test_a_newer_schema_is_refused(directory: Path) -> None:
    """With what to do; the file is left as it is."""
    engine = sqlite.writing(directory / sqlite.FILE_NAME, 5)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        errors.StoreSchemaTooNew, match=r"9999, newer than .* install the release that wrote it"
    ):
        await open_history(directory)
    with pytest.raises(errors.StoreSchemaTooNew):
        await open_history(directory, migrating=False)
    with engine.connect() as connection, connection.begin():
        assert migrate.revision(connection) == "9999"
    engine.dispose()


async def test_who_does_not_migrate_waits_for_who_does(tmp_path: Path) -> None:
    """A process beside the operator never makes or changes the schema."""
    with pytest.raises(errors.StoreUnavailable):
        await open_history(tmp_path, migrating=False)
    assert os.listdir(tmp_path) == []
    sqlite.writing(tmp_path / sqlite.FILE_NAME, 5, create=True).connect().close()
    with pytest.raises(errors.StoreUnavailable, match="has to start first") as caught:
        await open_history(tmp_path, migrating=False)
    assert caught.value.fault == "Outdated"


async def test_rows_survive_the_next_start(tmp_path: Path) -> None:
    """Opening what is there keeps it."""
    history = await open_history(tmp_path)
    stored = await history.record(task())
    await history.close()
    again = await open_history(tmp_path)
    assert await again.get("uid-1") == stored
    await again.close()
