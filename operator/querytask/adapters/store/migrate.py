"""Brings a history to the schema of this release, forward only. For ``history``, when it opens.

Alembic is imported only when there is something to bring forward: most starts find the schema as it should
be.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from querytask import errors
from querytask.adapters.store.schema import HEAD

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_VERSION = sa.table("alembic_version", sa.column("version_num"))


def revision(connection: sa.Connection) -> str | None:
    """The migration that the database has come to; ``None`` for an empty one."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(sa.select(_VERSION.c.version_num)).scalar()


def migrate(connection: sa.Connection, target: str = HEAD) -> None:
    """Run what is missing up to ``target``, in the transaction of ``connection``.

    Raises ``StoreSchemaTooNew`` when the database knows a migration that this release does not.
    """
    current = revision(connection)
    if current == target:
        return
    _check_known(current)
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def known(connection: sa.Connection) -> bool:
    """Whether the database is a history of a schema that this release can bring forward; raises
    ``StoreSchemaTooNew`` for a newer one."""
    current = revision(connection)
    _check_known(current)
    return current is not None


def check_current(connection: sa.Connection) -> None:
    """For a process that does not migrate: raise ``StoreUnavailable`` as long as the operator has not,
    ``StoreSchemaTooNew`` when it is newer."""
    current = revision(connection)
    if current != HEAD:
        _check_known(current)
        raise errors.StoreUnavailable(
            f"the history has schema {current or 'none'}, not {HEAD}:"
            " the operator of this release has to start first",
            "Outdated",
        )


def scripts() -> ScriptDirectory:
    """All migrations that this release knows."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def _check_known(current: str | None) -> None:
    known = [script.revision for script in scripts().walk_revisions()]
    if current is not None and current not in known:
        raise errors.StoreSchemaTooNew(
            f"the history has schema {current}, newer than {HEAD}, the newest of this release:"
            " install the release that wrote it or a later one, or restore a backup that is older"
        )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
