"""The only input and output: the API server, the history, the exports volume; each with our own errors."""
