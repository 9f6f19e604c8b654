"""The worker of the QueryTask operator: one DuckDB query, run once, in a pod without credentials."""
