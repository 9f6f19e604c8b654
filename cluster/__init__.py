"""A real Kubernetes for tests and the demo, where there is none. See README.md beside this file."""
