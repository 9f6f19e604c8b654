"""The only input and output: the API server, the history, the exports volume. Each translates its library's errors to ours."""
