"""Alembic's entry: runs the migrations on the connection that ``migrate`` hands over, in its transaction."""

from alembic import context

from querytask.adapters.store.schema import tables

context.configure(
    connection=context.config.attributes["connection"], target_metadata=tables, compare_type=True
)
context.run_migrations()
