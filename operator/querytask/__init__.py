"""The QueryTask operator: a SQL query, run once, as a Kubernetes object."""
