"""The way of every older schema to this release's, for Alembic; ``migrate`` runs it."""
