"""The REST API: reads of the history, and writes with the caller's own rights. A program of its own."""
